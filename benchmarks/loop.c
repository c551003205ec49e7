/* The naming game of two names on an unweighted graph, as one would write it by hand: a node, then
 * a neighbour, two choices from tables, two new states, the count of the round, and the window that
 * says when to stop. benchmarks/kernel.py compiles it and holds the kernel against it. */

#include <stdint.h>

#define GOLDEN 0x9E3779B97F4A7C15ULL

static inline uint64_t mix(uint64_t v) {
    v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9ULL;
    v = (v ^ (v >> 27)) * 0x94D049BB133111EBULL;
    return v ^ (v >> 31);
}

/* Plays `rounds` rounds of `n` interactions, or until the last `size` hold `needed` matches.
 * `counts` takes the matches and the plays of the second name in each round; `ring` is `size`
 * bytes. With `counter` zero, draws are the next ones of a generator, else a hash of the
 * interaction's number. Returns how many interactions were played. */
int64_t play(uint64_t key, int counter, int64_t n, const int64_t *indptr, const int32_t *indices,
             uint32_t *states, const int64_t *steps, const int32_t *nexts, int64_t rounds,
             int64_t *counts, uint8_t *ring, int64_t size, int64_t needed) {
    int64_t t = 0, place = 0, filled = 0, matched = 0;
    uint64_t generator = key;
    for (int64_t round = 0; round < rounds; round++) {
        int64_t hits = 0, seconds = 0;
        for (int64_t i = 0; i < n; i++) {
            uint64_t plan, seats;
            if (counter) {
                plan = mix(key + (2 * (uint64_t)t + 1) * GOLDEN);
                seats = mix(key + (2 * (uint64_t)t + 2) * GOLDEN);
            } else {
                plan = mix(generator += GOLDEN);
                seats = mix(generator += GOLDEN);
            }
            uint32_t a = (uint32_t)(((plan >> 32) * (uint64_t)n) >> 32);
            int64_t first = indptr[a];
            uint64_t degree = (uint64_t)(indptr[a + 1] - first);
            uint32_t b = (uint32_t)indices[first + (int64_t)(((plan & 0xFFFFFFFFU) * degree) >> 32)];
            uint32_t state_a = states[a], state_b = states[b];
            int name_a = (int64_t)(seats >> 32) >= steps[state_a];
            int name_b = (int64_t)(seats & 0xFFFFFFFFU) >= steps[state_b];
            states[a] = (uint32_t)nexts[4 * state_a + 2 * name_a + name_b];
            states[b] = (uint32_t)nexts[4 * state_b + 2 * name_b + name_a];
            int hit = name_a == name_b;
            hits += hit;
            seconds += name_a + name_b;
            if (filled == size)
                matched -= ring[place];
            else
                filled++;
            ring[place] = (uint8_t)hit;
            if (++place == size)
                place = 0;
            matched += hit;
            t++;
            if (filled == size && matched >= needed) {
                counts[2 * round] = hits;
                counts[2 * round + 1] = seconds;
                return t;
            }
        }
        counts[2 * round] = hits;
        counts[2 * round + 1] = seconds;
    }
    return t;
}
