"""What runs show about a network: when names converge, where they agree, who follows whom.

Everything here reads plain data (tables of runs, rounds and interactions, graphs, names by node)
and plays nothing. Whatever is left to chance, bootstraps among it, comes from ``rng``, a seed that
is 0 unless given, so the same data give the same numbers.
"""

from mesa_llm_norms.analysis.agreement import (
    Clusters,
    Edges,
    conflict_edges,
    conflict_share,
    local_agreement,
    name_clusters,
)
from mesa_llm_norms.analysis.communities import (
    Community,
    CommunityConventions,
    community_conventions,
    metastable_states,
    read_communities,
)
from mesa_llm_norms.analysis.convergence import (
    ConvergenceComparison,
    ConvergenceTime,
    compare_convergence,
    convergence_time,
)
from mesa_llm_norms.analysis.following import (
    Adoption,
    Following,
    adoption,
    followings,
    who_follows_whom,
)
from mesa_llm_norms.analysis.intervals import Estimate, wilson_interval

__all__ = [
    "Adoption",
    "Clusters",
    "Community",
    "CommunityConventions",
    "ConvergenceComparison",
    "ConvergenceTime",
    "Edges",
    "Estimate",
    "Following",
    "adoption",
    "community_conventions",
    "compare_convergence",
    "conflict_edges",
    "conflict_share",
    "convergence_time",
    "followings",
    "local_agreement",
    "metastable_states",
    "name_clusters",
    "read_communities",
    "who_follows_whom",
    "wilson_interval",
]
