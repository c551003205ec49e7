"""The study's main results again, from minds: what is played, what it is held against, the report.

``protocol`` says what is played and plays it, ``recorded`` holds what the study's recordings show
and ``published`` what is known otherwise, ``comparison`` tests each result, ``people`` does the
same for two experiments with people, ``report`` and ``figures`` tell about it.
"""
