/* The InfoNCE loss and its gradient; the formulas are those of `grevy.engine.loss.infonce_gradient`.
 *
 * Logits are dot products x_i . y_j: of b r_i and n_j (cosine), or of (2 b r_i, 1) and
 * (n_j, -b |n_j|^2), which lacks -b |r_i|^2 (euclidean). A few rows i at a time, their
 * exponentials stay in the first cache; a matrix of all pairs would pass through memory several
 * times.
 */
#include <math.h>

#include "vector.h"

/* Sums over pairs: one for each piece of the rows, and one for each of the columns. */
typedef struct {
    double pair, expected, logs, largest;
} Sums;

#define HELD (ROWS * LANES / STRIPE) /* rows whose stripes fit into the registers */

/* What all share, what each piece of the rows leaves, and room for the thread that is at it. */
typedef struct {
    const InfoNCE *loss;
    integer depth, wide; /* of x and y; columns, filled up to whole tiles */
    float *y, *lengths, *centre;
    Sums *sums, *column_sums;
    float *pushes, *weights, *x, *pulls;
} Work;

static integer padded(integer columns)
{
    return (columns + 2 * STRIPE - 1) / (2 * STRIPE) * (2 * STRIPE);
}

static integer depth_of(const InfoNCE *l)
{
    return l->depth + (l->euclidean ? 1 : 0);
}

static integer block_of(const InfoNCE *l)
{
    return padded(ROWS * depth_of(l));
}

static Work work_of(const InfoNCE *l, integer piece, integer seat)
{
    Work w = {.loss = l, .depth = depth_of(l), .wide = padded(l->columns)};
    integer pushes = w.depth * w.wide, pieces = pieces_of(l->rows, 64), block = block_of(l);
    w.y = l->scratch;
    w.lengths = w.y + pushes;
    w.centre = w.lengths + w.wide;
    w.sums = (Sums *)(w.centre + padded(l->depth)) + piece;
    w.column_sums = w.sums - piece + MOST_PIECES;
    w.pushes = (float *)(w.column_sums + MOST_PIECES);
    w.weights = w.pushes + pieces * pushes + seat * (ROWS * w.wide + 2 * block);
    w.pushes += piece * pushes;
    w.x = w.weights + ROWS * w.wide;
    w.pulls = w.x + block;
    return w;
}

/* Numbers that `scratch` has to hold. */
integer infonce_scratch(const InfoNCE *l)
{
    integer wide = padded(l->columns), pushes = depth_of(l) * wide;
    return (1 + pieces_of(l->rows, 64)) * pushes + wide + padded(l->depth)
           + 2 * MOST_PIECES * (integer)(sizeof(Sums) / sizeof(float))
           + seats_of(l->threads, pieces_of(l->rows, 64)) * (ROWS * wide + 2 * block_of(l));
}

/* Lay out the negatives as columns y_j; distances do not see their mean, rounding does. */
static void lay_out_columns(const InfoNCE *l)
{
    Work w = work_of(l, 0, 0);
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
        most[i] = all(-INFINITY);
    for (integer first = 0; first < w->wide; first += WIDTH) {
        vec tile[ROWS][2] = {{{0}}};
        add_products(tile, rows, w->x, w->depth, 1, w->y + first, w->wide, w->depth);
        /* What fills the last tile weighs next to nothing, 2^-100. */
        integer there = w->loss->columns - first;
        for (integer j = there > 0 ? there : 0; j < WIDTH; j++)
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
    vec total[PARTS] = {{0}};
    for (integer j = 0; j < wide; j += STRIPE)
        for (int part = 0; part < PARTS; part++) {
            float *at = weights + j + part * LANES;
            vec weight = power_of_two((load(at) - largest) * log2_e);
            store(at, weight);
            total[part] += weight;
        }
    return sum(total);
}

/* log x for x >= 1, far below the rounding of a float: the same bits on every system, unlike log.
 * x = 2^n m, and the series of artanh for log m. */
static double logarithm(double x)
{
    int n;
    double m = frexp(x, &n) * 2, z = (m - 1.5) / (m + 1.5), series = 0;
    for (int k = 15; k > 0; k -= 2)
        series = series * z * z + 2.0 / k;
    return (n - 1) * 0.69314718055994531 + 0.40546510810816438 + z * series;
}

/* sum_j w_ij y_j[k] of some rows, times `share`, and what the same weights push: sum_i w_ij x_i[k]. */
INLINE void pull_and_push(const Work *w, int rows, int row, integer k, const float *share)
{
    const integer wide = w->wide, depth = w->depth;
    const float *x = w->x + row * depth + k, *y = w->y + k * wide, *weights = w->weights + row * wide;
    float *pushes = w->pushes + k * wide;
    vec pull[ROWS][PARTS] = {{{0}}}, scaled[ROWS];
    for (int i = 0; i < rows; i++)
        scaled[i] = all(x[i * depth] * share[row + i]);
    for (integer j = 0; j < wide; j += STRIPE)
        for (int part = 0; part < PARTS; part++) {
            integer at = j + part * LANES;
            vec column = load(y + at), push = load(pushes + at);
            for (int i = 0; i < rows; i++) {
                vec weight = load(weights + i * wide + at);
                pull[i][part] = madd(weight, column, pull[i][part]);
                push = madd(scaled[i], weight, push);
            }
            store(pushes + at, push);
        }
    for (int i = 0; i < rows; i++)
        w->pulls[(row + i) * depth + k] = sum(pull[i]) * share[row + i];
}

/* Softmax of some rows x_i: log of the sums of exponentials, pulls, and what is added to pushes. */
INLINE void softmax(const Work *w, int rows, float log_sums[])
{
    float largest[ROWS], share[ROWS];
    logits(w, rows, largest);
    for (int i = 0; i < rows; i++) {
        float total = exponentials(w->weights + i * w->wide, w->wide, largest[i]);
        log_sums[i] = largest[i] + (float)logarithm(total);
        share[i] = 1.0f / total;
    }
    for (integer k = 0; k < w->depth; k++)
        for (int row = 0; row < rows; row += HELD)
            pull_and_push(w, rows < HELD ? rows : HELD, row, k, share);
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

static void rows_of(const void *l, Piece piece)
{
    Work w = work_of(l, piece.number, piece.seat);
    integer row = piece.first;
    memset(w.sums, 0, sizeof *w.sums);
    memset(w.pushes, 0, sizeof(float) * w.depth * w.wide);
    for (; row + ROWS <= piece.end; row += ROWS)
        some_rows(&w, ROWS, row);
    for (; row < piece.end; row++)
        some_rows(&w, 1, row);
}

/* Sum the pushes of all pieces into those of the first, for some columns. */
static void sum_pushes(const Work *w, integer pieces, integer first, integer end)
{
    integer apart = w->depth * w->wide;
    for (integer k = 0; k < w->depth; k++)
        for (integer j = first; j < end; j += LANES) {
            float *at = w->pushes + k * w->wide + j;
            vec total = load(at);
            for (integer each = 1; each < pieces; each++)
                total += load(at + each * apart);
            store(at, total);
        }
}

/* The gradient of some negatives. */
static void columns_of(const void *argument, Piece piece)
{
    const InfoNCE *l = argument;
    Work w = work_of(l, 0, 0);
    Sums *sums = w.column_sums + piece.number;
    *sums = (Sums){0};
    sum_pushes(&w, pieces_of(l->rows, 64), piece.first, piece.end);
    for (integer j = piece.first; j < piece.end; j++) {
        float received = l->euclidean ? w.pushes[l->depth * w.wide + j] : 0; /* sum_i w_ij */
        float back = -2 * (float)l->scale * received;
        sums->expected -= received * w.lengths[j];
        sums->largest = w.lengths[j] > sums->largest ? w.lengths[j] : sums->largest;
        for (integer k = 0; k < l->depth; k++)
            *at(l->negative_grad, j, k) =
                (w.pushes[k * w.wide + j] + back * w.y[k * w.wide + j]) / l->rows;
    }
}

void infonce_gradient(const InfoNCE *l)
{
    lay_out_columns(l);
    in_pieces(l->threads, l->rows, ROWS, 64, rows_of, l);
    in_pieces(l->threads, l->columns, STRIPE, 256, columns_of, l);
    const Sums *rows = work_of(l, 0, 0).sums, *columns = work_of(l, 0, 0).column_sums;
    Sums total = {0};
    for (integer each = 0; each < pieces_of(l->rows, 64); each++) {
        total.pair += rows[each].pair;
        total.expected += rows[each].expected;
        total.logs += rows[each].logs;
        total.largest = fmax(total.largest, rows[each].largest);
    }
    for (integer each = 0; each < pieces_of(l->columns, 256); each++) {
        total.expected += columns[each].expected;
        total.largest = fmax(total.largest, columns[each].largest);
    }
    l->loss[1] = -total.pair * l->scale / l->rows;
    l->loss[2] = total.logs / l->rows;
    l->loss[0] = l->loss[1] + l->loss[2];
    l->loss[3] = (total.expected - total.pair) / l->rows;
    l->loss[4] = total.largest;
}
