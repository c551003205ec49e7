/* Many runs of the naming game of a recorded mind, as one would write it by hand: agents are packed
 * memories, the logit is evaluated when a memory is first met, and what is known is kept by hash for
 * all runs. benchmarks/ensembles.py compiles it and holds ensembles against it. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define GOLDEN 0x9E3779B97F4A7C15ULL
#define DEPTH 5
#define PROFILES 1365
#define MOST_NAMES 64

static inline uint64_t mix(uint64_t v) {
    v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9ULL;
    v = (v ^ (v >> 27)) * 0x94D049BB133111EBULL;
    return v ^ (v >> 31);
}

typedef struct {
    int64_t names, bits, full;
    const double *alone, *own, *strangers; /* the utilities: 2 x names, names x 1365, 6 */
    int64_t counted;
    const uint64_t *codes; /* memories with recorded counts, in order */
    const double *counts;  /* their counts, with the total and the prior strength at the end */
    double prior;
    int64_t places; /* of the table, a power of two */
    uint64_t *keys; /* 0 where there is none */
    double *probabilities;
    int64_t *steps; /* names - 1 cumulative weights, and the run they are valid from */
} Mind;

static const int64_t offsets[] = {0, 1, 5, 21, 85, 341};

static void evaluate(const Mind *mind, uint64_t code, double *out) {
    int64_t names = mind->names, length = 0, own[DEPTH], partner[DEPTH];
    uint64_t lowest = (1ULL << mind->bits) - 1;
    char seen[MOST_NAMES] = {0};
    for (uint64_t rest = code; rest > 1 && length < DEPTH; rest >>= 2 * mind->bits) {
        partner[length] = (int64_t)(rest & lowest);
        own[length] = (int64_t)(rest >> mind->bits & lowest);
        seen[own[length]] = seen[partner[length]] = 1;
        length++;
    }
    double highest = -INFINITY, total = 0;
    for (int64_t name = 0; name < names; name++) {
        double utility = mind->alone[(length == 0) * names + name];
        if (seen[name]) {
            int64_t letters = 0;
            for (int64_t lag = length - 1; lag >= 0; lag--)
                letters = 4 * letters + 2 * (own[lag] != name) + (partner[lag] != name);
            utility += mind->own[name * PROFILES + offsets[length] + letters];
        } else
            utility += mind->strangers[length];
        out[name] = utility;
        if (utility > highest)
            highest = utility;
    }
    for (int64_t name = 0; name < names; name++)
        total += out[name] = exp(out[name] - highest);
    for (int64_t name = 0; name < names; name++)
        out[name] /= total;
    int64_t low = 0, high = mind->counted;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (mind->codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < mind->counted && mind->codes[low] == code) {
        const double *row = mind->counts + low * (names + 1);
        for (int64_t name = 0; name < names; name++)
            out[name] = (row[name] + mind->prior * out[name]) / row[names];
    }
}

static void weigh(const double *given, int64_t names, double power, int64_t *steps) {
    double work[MOST_NAMES], total = 0, highest = 0;
    for (int64_t name = 0; name < names; name++)
        if (given[name] > highest)
            highest = given[name];
    for (int64_t name = 0; name < names; name++)
        work[name] = total += power == 1 ? given[name] : pow(given[name] / highest, power);
    for (int64_t name = 0; name < names - 1; name++)
        steps[name] = (int64_t)rint(work[name] / total * 4294967296.0);
}

/* Returns the steps for a memory, worked out if they are not known in this run. */
static inline const int64_t *steps_of(const Mind *mind, uint64_t code, int64_t since, double power) {
    uint64_t mask = (uint64_t)mind->places - 1, place = code & mask;
    if (mind->full >= 12) {
        uint64_t mixed = (code ^ code >> 32) * GOLDEN;
        for (place = (mixed ^ mixed >> 32) & mask; mind->keys[place] != code; place = (place + 1) & mask)
            if (!mind->keys[place])
                break;
    }
    int64_t *steps = mind->steps + place * mind->names;
    if (mind->keys[place] != code) {
        mind->keys[place] = code;
        evaluate(mind, code, mind->probabilities + place * mind->names);
        steps[mind->names - 1] = -1;
    }
    if (steps[mind->names - 1] != since) {
        weigh(mind->probabilities + place * mind->names, mind->names, power, steps);
        steps[mind->names - 1] = since;
    }
    return steps;
}

static inline uint64_t choice(const int64_t *steps, int64_t names, int64_t draw) {
    uint64_t low = 0, high = (uint64_t)names - 1;
    while (low < high) {
        uint64_t middle = (low + high) >> 1;
        if (draw < steps[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Plays `runs` runs of up to `rounds` rounds, each until of the last `size` interactions `needed`
 * matched.
 * `indptr` and `indices` have one network, or one for each run, of which `entries` says where each
 * begins. `powers` has the inverse temperature of each run, and `drifting` says whether they differ.
 * `counts` takes for each round its interactions, its matches and the plays of every name; `found`
 * takes interactions and rounds of each run. Returns how many interactions were played in all. */
int64_t play(const Mind *mind, int64_t runs, const uint64_t *keys, const double *powers, int drifting,
             int64_t n, int64_t networks, const int64_t *indptr, const int64_t *entries,
             const int32_t *indices, int64_t rounds, uint64_t *states, uint8_t *ring, int64_t size,
             int64_t needed, int64_t *counts, int64_t *found) {
    int64_t names = mind->names, total = 0;
    uint64_t digit = 2 * (uint64_t)mind->bits, full = (uint64_t)mind->full, mask = (2ULL << full) - 1;
    for (int64_t run = 0; run < runs; run++) {
        int64_t network = networks > 1 ? run : 0, t = 0, place = 0, filled = 0, matched = 0, round = 0;
        const int64_t *starts = indptr + network * (n + 1);
        const int32_t *others = indices + entries[network];
        uint64_t key = keys[run];
        int ended = 0;
        for (int64_t i = 0; i < n; i++)
            states[i] = 1;
        for (; round < rounds && !ended; round++, counts += 2 + names) {
            for (int64_t i = 0; i < n && !ended; i++) {
                uint64_t plan = mix(key + (2 * (uint64_t)t + 1) * GOLDEN);
                uint64_t seats = mix(key + (2 * (uint64_t)t + 2) * GOLDEN);
                uint64_t a = ((plan >> 32) * (uint64_t)n) >> 32;
                uint64_t degree = (uint64_t)(starts[a + 1] - starts[a]);
                uint64_t b = (uint64_t)others[starts[a] + (int64_t)(((plan & 0xFFFFFFFFU) * degree) >> 32)];
                uint64_t of_a = states[a], of_b = states[b];
                int64_t since = drifting ? run : 0;
                uint64_t name_a = choice(steps_of(mind, of_a, since, powers[run]), names, (int64_t)(seats >> 32));
                uint64_t name_b =
                    choice(steps_of(mind, of_b, since, powers[run]), names, (int64_t)(seats & 0xFFFFFFFFU));
                states[a] = (((of_a << digit) | name_a << mind->bits | name_b) & mask) | (of_a >> full) << full;
                states[b] = (((of_b << digit) | name_b << mind->bits | name_a) & mask) | (of_b >> full) << full;
                int hit = name_a == name_b;
                counts[0]++;
                counts[1] += hit;
                counts[2 + name_a]++;
                counts[2 + name_b]++;
                if (filled == size)
                    matched -= ring[place];
                else
                    filled++;
                ring[place] = (uint8_t)hit;
                if (++place == size)
                    place = 0;
                matched += hit;
                t++;
                ended = filled == size && matched >= needed;
            }
        }
        found[2 * run] = t;
        found[2 * run + 1] = round;
        total += t;
    }
    return total;
}
