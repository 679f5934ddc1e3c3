/* The nearest of many points, exactly: a k-d tree whose leaves are scanned many points at a time.
 *
 * The tree is complete: node i has the children 2 i + 1 and 2 i + 2, and the last level holds
 * 2^levels leaves of nearly equal size. A leaf has room for `slots` points, filled up with
 * infinity, which lie dimension by dimension.
 */
#include <math.h>
#include <stdlib.h>

#include "vector.h"

#define PAIRS (LANES / 2) /* doubles in a vector */
#define DEEP 64           /* more levels than a tree of 2^31 points has */

typedef double wide __attribute__((vector_size(4 * LANES)));
typedef int64_t iwide __attribute__((vector_size(4 * LANES)));

INLINE integer leaf_start(const Tree *t, integer leaf)
{
    return t->points * leaf >> t->levels;
}

/* Order the points from `first` to before `end` so that number `middle` is where sorting by one
 * dimension would put it, none before it is larger and none after it smaller (C. A. R. Hoare,
 * Communications of the ACM 4, 321, 1961). Pivots are drawn, the same in every run: labels that rise
 * and fall would make any fixed place a bad one. */
static void select_middle(const Tree *t, integer dim, integer first, integer end, integer middle)
{
    const double *from = t->source + dim;
    int32_t *order = t->order;
    uint64_t drawn = 1;
    for (integer low = first, high = end - 1; low < high;) {
        drawn = drawn * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        double pivot = from[order[low + (integer)((drawn >> 33) % (high - low + 1))] * t->dims];
        integer i = low, j = high;
        while (i <= j) {
            while (from[order[i] * t->dims] < pivot)
                i++;
            while (from[order[j] * t->dims] > pivot)
                j--;
            if (i <= j) {
                int32_t other = order[i];
                order[i++] = order[j];
                order[j--] = other;
            }
        }
        if (middle <= j)
            high = j;
        else if (middle >= i)
            low = i;
        else
            return;
    }
}

/* Bound the points of a node; return its widest dimension. */
static integer bound_points(const Tree *t, double *box, integer first, integer end)
{
    integer widest = 0;
    for (integer k = 0; k < t->dims; k++) {
        double least = INFINITY, largest = -INFINITY;
        for (integer i = first; i < end; i++) {
            double value = t->source[t->order[i] * t->dims + k];
            least = value < least ? value : least;
            largest = value > largest ? value : largest;
        }
        box[2 * k] = least;
        box[2 * k + 1] = largest;
        if (largest - least > box[2 * widest + 1] - box[2 * widest])
            widest = k;
    }
    return widest;
}

void tree_build(const Tree *t)
{
    for (integer i = 0; i < t->points; i++)
        t->order[i] = (int32_t)i;
    for (integer level = 0; level <= t->levels; level++)
        for (integer node = 0; node < (integer)1 << level; node++) {
            integer below = t->levels - level;
            integer first = leaf_start(t, node << below), end = leaf_start(t, (node + 1) << below);
            double *box = t->boxes + (((integer)1 << level) - 1 + node) * 2 * t->dims;
            integer widest = bound_points(t, box, first, end);
            if (below)
                select_middle(t, widest, first, end, leaf_start(t, (2 * node + 1) << (below - 1)));
        }
    for (integer leaf = 0; leaf < (integer)1 << t->levels; leaf++) {
        integer first = leaf_start(t, leaf), size = leaf_start(t, leaf + 1) - first;
        for (integer k = 0; k < t->dims; k++)
            for (integer i = 0; i < t->slots; i++)
                t->values[(leaf * t->dims + k) * t->slots + i] =
                    i < size ? t->source[t->order[first + i] * t->dims + k] : INFINITY;
    }
}

/* Squared distance from a query to the box of a node. */
INLINE double box_distance(const Tree *t, integer node, const double *query)
{
    const double *box = t->boxes + node * 2 * t->dims;
    double total = 0;
    for (integer k = 0; k < t->dims; k++) {
        double before = box[2 * k] - query[k], after = query[k] - box[2 * k + 1];
        double apart = before > after ? before : after;
        if (apart <= 0)
            continue;
        if (t->period[k] > 0) { /* the other way round the circle */
            double other = t->period[k] + (before > after ? after : before);
            apart = other < apart ? other : apart;
        }
        total += apart * apart;
    }
    return total;
}

/* Squared distances from a query to the points of a leaf; return the smallest. */
INLINE double scan(const Tree *t, integer leaf, const double *query, double *distances)
{
    const double *values = t->values + leaf * t->dims * t->slots;
    wide least = INFINITY - (wide){0};
    for (integer i = 0; i < t->slots; i += PAIRS) {
        wide total = {0};
        for (integer k = 0; k < t->dims; k++) {
            wide apart;
            memcpy(&apart, values + k * t->slots + i, sizeof apart);
            apart -= query[k];
            if (t->period[k] > 0) {
                iwide negative = apart < 0;
                apart = (wide)((negative & (iwide)-apart) | (~negative & (iwide)apart));
                wide other = t->period[k] - apart;
                iwide shorter = other < apart;
                apart = (wide)((shorter & (iwide)other) | (~shorter & (iwide)apart));
            }
            total += apart * apart;
        }
        memcpy(distances + i, &total, sizeof total);
        iwide less = total < least;
        least = (wide)((less & (iwide)total) | (~less & (iwide)least));
    }
    double smallest = least[0];
    for (int lane = 1; lane < PAIRS; lane++)
        smallest = least[lane] < smallest ? least[lane] : smallest;
    return smallest;
}

/* Find the points nearest to a query: their places in `order` go to `tied`; return their number. */
static integer find(const Tree *t, const double *query, double *distances, int32_t *tied)
{
    integer nodes[DEEP], depth = 0, n_tied = 0, inner = ((integer)1 << t->levels) - 1;
    double bounds[DEEP], best = INFINITY;
    nodes[depth] = 0;
    bounds[depth++] = 0;
    while (depth) {
        integer node = nodes[--depth];
        /* Rounding must not hide a point that is just as near. */
        if (bounds[depth] > best * (1 + 1e-12))
            continue;
        if (node < inner) {
            integer left = 2 * node + 1, right = left + 1;
            double to_left = box_distance(t, left, query), to_right = box_distance(t, right, query);
            int first = to_left <= to_right; /* the nearer one is met first */
            nodes[depth] = first ? right : left;
            bounds[depth++] = first ? to_right : to_left;
            nodes[depth] = first ? left : right;
            bounds[depth++] = first ? to_left : to_right;
            continue;
        }
        double smallest = scan(t, node - inner, query, distances);
        if (smallest > best)
            continue;
        if (smallest < best)
            n_tied = 0;
        best = smallest;
        integer start = leaf_start(t, node - inner), end = leaf_start(t, node - inner + 1);
        for (integer i = start; i < end; i++)
            if (distances[i - start] == best)
                tied[n_tied++] = (int32_t)i;
    }
    return n_tied;
}

/* Choose among the samples of points that are equally near. */
static integer choose(const Tree *t, const Queries *q, const int32_t *tied, integer n, double draw)
{
    integer total = 0;
    for (integer i = 0; i < n; i++) {
        integer point = t->order[tied[i]];
        total += q->starts ? q->starts[point + 1] - q->starts[point] : 1;
    }
    integer rank = (integer)(draw * total);
    rank = rank < total ? rank : total - 1;
    for (integer i = 0;; i++) {
        integer point = t->order[tied[i]];
        integer start = q->starts ? q->starts[point] : point;
        integer count = q->starts ? q->starts[point + 1] - start : 1;
        if (rank < count)
            return q->samples[start + rank];
        rank -= count;
    }
}

/* A tree, what is asked of it, and room for each thread: a query, distances, places. */
typedef struct {
    const Tree *tree;
    const Queries *queries;
    double *numbers;
    int32_t *tied;
} Search;

static void search(const void *argument, Piece piece)
{
    const Search *s = argument;
    const Tree *t = s->tree;
    const Queries *q = s->queries;
    double *query = s->numbers + piece.seat * (t->dims + t->slots);
    int32_t *tied = s->tied + piece.seat * t->points;
    for (integer i = piece.first; i < piece.end; i++) {
        for (integer k = 0; k < t->dims; k++) {
            double at = q->at[i * t->dims + k], period = t->period[k];
            query[k] = period > 0 ? at - floor(at / period) * period : at;
        }
        integer n = find(t, query, query + t->dims, tied);
        q->found[i] = choose(t, q, tied, n, q->draws[i]);
    }
}

/* Queries are finite numbers; returns 1 if there was no memory for it, else 0. */
integer tree_nearest(const Tree *t, const Queries *q)
{
    integer seats = seats_of(q->threads, pieces_of(q->n, 256));
    Search s = {t, q, malloc(sizeof(double) * seats * (t->dims + t->slots)),
                malloc(sizeof(int32_t) * seats * t->points)};
    integer failed = !s.numbers || !s.tied;
    if (!failed)
        in_pieces(q->threads, q->n, 1, 256, search, &s);
    free(s.numbers);
    free(s.tied);
    return failed;
}
