/* The InfoNCE loss and its gradient; the formulas are those of `grevy.engine.loss.infonce_gradient`.
 *
 * Logits are dot products x_i . y_j: of b r_i and n_j (cosine), or of (2 b r_i, 1) and
 * (n_j, -b |n_j|^2), which lacks -b |r_i|^2 (euclidean). A few rows i at a time, their
 * exponentials stay in the first cache; a matrix of all pairs would pass through memory several
 * times.
 */
#include <math.h>
#include <omp.h>

#include "vector.h"

/* Mirrored by `grevy.engine.kernels.InfoNCE`. */
typedef struct {
    integer rows, columns, depth; /* R references, M negatives, D dimensions */
    integer euclidean, threads;
    double scale; /* b, the inverse temperature */
    Matrix reference, positive, negative;
    Matrix reference_grad, positive_grad, negative_grad;
    float *loss; /* total, positive and negative part, gradient by b, largest |x|^2 of any r or n */
    float *scratch;
} InfoNCE;

/* Sums over all pairs; one for each thread, a cache line each. */
typedef struct {
    double pair, expected, logs, largest, unused[4];
} Sums;

/* What the threads share, and each one's part. */
typedef struct {
    const InfoNCE *loss;
    integer depth, wide; /* of x and y; columns, filled up to whole tiles */
    float *y, *centre, *lengths;
    float *x, *weights, *pulls, *pushes;
    Sums *sums;
} Work;

static integer padded(integer columns)
{
    return (columns + WIDTH - 1) / WIDTH * WIDTH;
}

static integer depth_of(const InfoNCE *l)
{
    return l->depth + (l->euclidean ? 1 : 0);
}

static integer shared_numbers(const InfoNCE *l)
{
    return padded(l->columns) * (depth_of(l) + 1) + padded(l->depth);
}

static integer own_numbers(const InfoNCE *l)
{
    integer block = padded(ROWS * depth_of(l));
    return padded(l->columns) * (ROWS + depth_of(l)) + 2 * block + sizeof(Sums) / sizeof(float);
}

integer infonce_scratch(const InfoNCE *l)
{
    return shared_numbers(l) + l->threads * own_numbers(l);
}

static Work work_of(const InfoNCE *l, integer thread)
{
    Work w = {.loss = l, .depth = depth_of(l), .wide = padded(l->columns)};
    w.y = l->scratch;
    w.lengths = w.y + w.depth * w.wide;
    w.centre = w.lengths + w.wide;
    float *own = l->scratch + shared_numbers(l) + thread * own_numbers(l);
    w.sums = (Sums *)own;
    w.weights = own + sizeof(Sums) / sizeof(float);
    w.pushes = w.weights + ROWS * w.wide;
    w.x = w.pushes + w.depth * w.wide;
    w.pulls = w.x + padded(ROWS * w.depth);
    return w;
}

/* Lay out the negatives as columns y_j; distances do not see their mean, rounding does. */
static void lay_out_columns(const InfoNCE *l)
{
    Work w = work_of(l, 0);
    memset(w.y, 0, sizeof(float) * (w.depth + 1) * w.wide);
    for (integer k = 0; k < l->depth; k++) {
        double total = 0;
        for (integer j = 0; l->euclidean && j < l->columns; j++)
            total += *at(l->negative, j, k);
        w.centre[k] = total / l->columns;
        for (integer j = 0; j < l->columns; j++) {
            float number = *at(l->negative, j, k) - w.centre[k];
            w.y[k * w.wide + j] = number;
            w.lengths[j] += number * number;
        }
    }
    for (integer j = 0; l->euclidean && j < l->columns; j++)
        w.y[l->depth * w.wide + j] = -l->scale * w.lengths[j];
}

/* Logits of some rows, and the largest of each. */
INLINE void logits(const Work *w, int rows, float largest[])
{
    vec most[ROWS];
    for (int i = 0; i < rows; i++)
        most[i] = -INFINITY - (vec){0};
    for (integer first = 0; first < w->wide; first += WIDTH) {
        vec tile[ROWS][2] = {{{0}}};
        add_products(tile, rows, w->x, w->depth, 1, w->y + first, w->wide, w->depth);
        /* What fills the last tile weighs next to nothing, 2^-100. */
        for (integer j = w->loss->columns - first; j < WIDTH; j++)
            for (int i = 0; i < rows; i++)
                tile[i][j / LANES][j % LANES] = -INFINITY;
        for (int i = 0; i < rows; i++) {
            most[i] = larger(larger(tile[i][0], tile[i][1]), most[i]);
            store(w->weights + i * w->wide + first, tile[i][0]);
            store(w->weights + i * w->wide + first + LANES, tile[i][1]);
        }
    }
    for (int i = 0; i < rows; i++) {
        largest[i] = most[i][0];
        for (int lane = 1; lane < LANES; lane++)
            largest[i] = most[i][lane] > largest[i] ? most[i][lane] : largest[i];
    }
}

/* Turn logits into exponentials, relative to the largest; return their sum. */
INLINE float exponentials(float *weights, integer wide, float largest)
{
    const float log2_e = 1.44269504f;
    vec total = {0};
    for (integer j = 0; j < wide; j += LANES) {
        vec weight = power_of_two((load(weights + j) - largest) * log2_e);
        store(weights + j, weight);
        total += weight;
    }
    return sum(total);
}

/* Softmax of some rows x_i: log of the sums of exponentials, sum_j w_ij y_j, and to the pushes
 * sum_i w_ij x_i is added. */
INLINE void softmax(const Work *w, int rows, float log_sums[])
{
    integer wide = w->wide, d = w->depth;
    float largest[ROWS], share[ROWS], scaled[ROWS];
    logits(w, rows, largest);
    for (int i = 0; i < rows; i++) {
        float total = exponentials(w->weights + i * wide, wide, largest[i]);
        log_sums[i] = largest[i] + logf(total);
        share[i] = 1.0f / total;
    }
    for (integer k = 0; k < d; k++) {
        vec pull[ROWS] = {{0}};
        for (int i = 0; i < rows; i++)
            scaled[i] = w->x[i * d + k] * share[i];
        for (integer j = 0; j < wide; j += LANES) {
            vec column = load(w->y + k * wide + j), push = load(w->pushes + k * wide + j);
            for (int i = 0; i < rows; i++) {
                vec weight = load(w->weights + i * wide + j);
                pull[i] += weight * column;
                push += scaled[i] * weight;
            }
            store(w->pushes + k * wide + j, push);
        }
        for (int i = 0; i < rows; i++)
            w->pulls[i * d + k] = sum(pull[i]) * share[i];
    }
}

INLINE void some_rows(const Work *w, int rows, integer row)
{
    const InfoNCE *l = w->loss;
    float factor = (l->euclidean ? 2 : 1) * l->scale, share = factor / l->rows;
    float log_sums[ROWS];
    for (int i = 0; i < rows; i++) {
        float *x = w->x + i * w->depth;
        for (integer k = 0; k < l->depth; k++)
            x[k] = factor * (*at(l->reference, row + i, k) - w->centre[k]);
        if (l->euclidean)
            x[l->depth] = 1;
    }
    softmax(w, rows, log_sums);
    for (int i = 0; i < rows; i++) {
        const float *pull = w->pulls + i * w->depth;
        double pair = 0, own = 0, expected = 0;
        for (integer k = 0; k < l->depth; k++) {
            float reference = *at(l->reference, row + i, k) - w->centre[k];
            float positive = *at(l->positive, row + i, k) - w->centre[k];
            float away = l->euclidean ? reference - positive : reference;
            pair += l->euclidean ? -away * away : away * positive;
            own += reference * reference;
            expected += reference * pull[k];
            *at(l->reference_grad, row + i, k) = (pull[k] - positive) * share;
            *at(l->positive_grad, row + i, k) = -share * away;
        }
        w->sums->pair += pair;
        w->sums->largest = own > w->sums->largest ? own : w->sums->largest;
        w->sums->expected += l->euclidean ? 2 * expected - own : expected;
        w->sums->logs += log_sums[i] - (l->euclidean ? l->scale * own : 0);
    }
}

/* Sum the threads' pushes into the gradient of some negatives. */
static void some_columns(const Work *w, integer team, integer first, integer end)
{
    const InfoNCE *l = w->loss;
    integer apart = own_numbers(l);
    const float *pushes = work_of(l, 0).pushes;
    for (integer j = first; j < end; j++) {
        float received = 0; /* sum_i w_ij */
        for (integer each = 0; l->euclidean && each < team; each++)
            received += pushes[each * apart + l->depth * w->wide + j];
        w->sums->expected -= received * w->lengths[j];
        for (integer k = 0; k < l->depth; k++) {
            float total = -2 * (float)l->scale * w->y[k * w->wide + j] * received;
            for (integer each = 0; each < team; each++)
                total += pushes[each * apart + k * w->wide + j];
            *at(l->negative_grad, j, k) = total / l->rows;
        }
    }
}

void infonce_gradient(const InfoNCE *l)
{
    integer team = 1;
    lay_out_columns(l);
#pragma omp parallel num_threads((int)l->threads)
    {
        integer me = omp_get_thread_num(), all = omp_get_num_threads();
        integer row = part_of(l->rows, ROWS, me, all), end = part_of(l->rows, ROWS, me + 1, all);
        Work w = work_of(l, me);
        memset(w.sums, 0, sizeof *w.sums);
        memset(w.pushes, 0, sizeof(float) * w.depth * w.wide);
        for (; row + ROWS <= end; row += ROWS)
            some_rows(&w, ROWS, row);
        for (; row < end; row++)
            some_rows(&w, 1, row);
        if (me == 0)
            team = all;
#pragma omp barrier
        some_columns(&w, all, l->columns * me / all, l->columns * (me + 1) / all);
    }
    Sums total = {0};
    for (integer each = 0; each < team; each++) {
        const Sums *sums = work_of(l, each).sums;
        total.pair += sums->pair;
        total.expected += sums->expected;
        total.logs += sums->logs;
        total.largest = sums->largest > total.largest ? sums->largest : total.largest;
    }
    const float *lengths = work_of(l, 0).lengths;
    for (integer j = 0; j < l->columns; j++)
        total.largest = lengths[j] > total.largest ? lengths[j] : total.largest;
    l->loss[1] = -total.pair * l->scale / l->rows;
    l->loss[2] = total.logs / l->rows;
    l->loss[0] = l->loss[1] + l->loss[2];
    l->loss[3] = (total.expected - total.pair) / l->rows;
    l->loss[4] = total.largest;
}
