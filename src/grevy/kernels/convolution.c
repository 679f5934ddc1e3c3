/* A convolution over time with what follows it, and its way back.
 *
 *     out[r] = act(bias + sum_t in[r + t * batch] W_t) + in[r + before * batch]
 *
 * where act is GELU or nothing, and the last term is there in layers with a shortcut. Rows lie
 * time first, `batch` of them for each step. The way forward keeps act's slope; the way back
 * multiplies it by the gradient, in place.
 *
 * Both ways are products with a matrix of few columns, which serve from the first-level cache:
 * a tile of the result stays in registers for the whole sum, and rows are read as they lie.
 */
#include <omp.h>

#include "vector.h"

#define BLOCK 128 /* rows over which a weight gradient is summed before it is written */

/* Mirrored by `grevy.kernels.Convolution`. */
typedef struct {
    integer rows, batch, taps, n_in, n_out; /* `rows` of the output */
    integer before;                         /* -1: no shortcut */
    integer threads;
    const float *weight, *bias;             /* (n_out, n_in, taps); (n_out,) or null */
    Matrix in, out;
    float *slope;                           /* (rows, n_out), or null: no activation */
    Matrix grad, in_grad;                   /* of `out` and `in`; in_grad.at may be null */
    float *weight_grad, *bias_grad;         /* may be null */
    float *scratch;
} Convolution;

static integer panels(integer columns)
{
    return (columns + WIDTH - 1) / WIDTH;
}

/* Numbers that `scratch` has to hold: the weights in panels, and for each thread a gradient. */
integer convolution_scratch(const Convolution *c)
{
    integer forth = panels(c->n_out) * (c->taps * c->n_in + 1);
    integer back = panels(c->n_in) * c->taps * c->n_out;
    return WIDTH * ((forth > back ? forth : back) + c->threads * forth);
}

/* Lay out weights as [panel][tap][in][WIDTH of out], then the bias; zeros fill the last panel. */
static void pack_forward(const Convolution *c)
{
    integer depth = c->taps * c->n_in;
    memset(c->scratch, 0, sizeof(float) * WIDTH * panels(c->n_out) * (depth + 1));
    float *bias = c->scratch + panels(c->n_out) * depth * WIDTH;
    for (integer o = 0; o < c->n_out; o++) {
        float *panel = c->scratch + o / WIDTH * depth * WIDTH + o % WIDTH;
        for (integer i = 0; i < c->n_in; i++)
            for (integer t = 0; t < c->taps; t++)
                panel[(t * c->n_in + i) * WIDTH] = c->weight[(o * c->n_in + i) * c->taps + t];
        bias[o] = c->bias ? c->bias[o] : 0;
    }
}

/* The same for the way back: [panel][tap][out][WIDTH of in]. */
static void pack_backward(const Convolution *c)
{
    integer depth = c->taps * c->n_out;
    memset(c->scratch, 0, sizeof(float) * WIDTH * panels(c->n_in) * depth);
    for (integer o = 0; o < c->n_out; o++)
        for (integer i = 0; i < c->n_in; i++) {
            float *panel = c->scratch + i / WIDTH * depth * WIDTH + i % WIDTH;
            for (integer t = 0; t < c->taps; t++)
                panel[(t * c->n_out + o) * WIDTH] = c->weight[(o * c->n_in + i) * c->taps + t];
        }
}

/* x Phi(x) and its slope. Phi by Abramowitz & Stegun (1964), 7.1.26: error below 1.5e-7. */
INLINE vec gelu(vec x, vec *slope)
{
    const float root_half = 0.70710678f, log2_e = 1.44269504f, root_tau = 2.50662827f;
    vec density = power_of_two(x * x * (-0.5f * log2_e));
    vec t = 1.0f / (1.0f + (0.3275911f * root_half) * larger(x, -x));
    vec p = t * (0.5f * 1.061405429f) - 0.5f * 1.453152027f;
    p = p * t + 0.5f * 1.421413741f;
    p = p * t - 0.5f * 0.284496736f;
    p = p * t + 0.5f * 0.254829592f;
    vec tail = p * t * density;
    vec phi = pick(x < 0.0f, tail, 1.0f - tail);
    *slope = phi + density * (x * (1.0f / root_tau));
    return x * phi;
}

/* Write `n` columns of a tile, as `matrix` lies. */
INLINE void put(Matrix matrix, integer row, integer column, integer n, const vec tile[2])
{
    float *to = matrix.at + row * matrix.row + column * matrix.column;
    if (n == WIDTH && matrix.column == 1) {
        store(to, tile[0]);
        store(to + LANES, tile[1]);
        return;
    }
    float numbers[WIDTH];
    memcpy(numbers, tile, sizeof numbers);
    for (integer i = 0; i < n; i++)
        to[i * matrix.column] = numbers[i];
}

/* The reverse; zeros fill the tile. */
INLINE void get(Matrix matrix, integer row, integer column, integer n, vec tile[2])
{
    const float *from = matrix.at + row * matrix.row + column * matrix.column;
    if (n == WIDTH && matrix.column == 1) {
        tile[0] = load(from);
        tile[1] = load(from + LANES);
        return;
    }
    float numbers[WIDTH] = {0};
    for (integer i = 0; i < n; i++)
        numbers[i] = from[i * matrix.column];
    memcpy(tile, numbers, sizeof numbers);
}

INLINE integer columns_left(integer columns, integer first)
{
    return columns - first < WIDTH ? columns - first : WIDTH;
}

/* Activate and write a tile of the output: `rows` rows from `row`, columns from `first`. */
INLINE void finish_forward(const Convolution *c, vec tile[][2], int rows, integer row,
                           integer first, const float *bias)
{
    const Matrix slopes = {c->slope, c->n_out, 1};
    integer n = columns_left(c->n_out, first);
    for (int i = 0; i < rows; i++) {
        vec out[2] = {tile[i][0] + load(bias), tile[i][1] + load(bias + LANES)};
        if (c->slope) {
            vec slope[2];
            out[0] = gelu(out[0], slope);
            out[1] = gelu(out[1], slope + 1);
            put(slopes, row + i, first, n, slope);
        }
        if (c->before >= 0) {
            vec shortcut[2];
            get(c->in, row + i + c->before * c->batch, first, n, shortcut);
            out[0] += shortcut[0];
            out[1] += shortcut[1];
        }
        put(c->out, row + i, first, n, out);
    }
}

INLINE void forward_tile(const Convolution *c, int rows, integer row, integer first)
{
    integer depth = c->taps * c->n_in;
    const float *packed = c->scratch + first * depth;
    const float *bias = c->scratch + panels(c->n_out) * depth * WIDTH + first;
    vec tile[ROWS][2] = {{{0}}};
    for (integer t = 0; t < c->taps; t++) {
        const float *in = c->in.at + (row + t * c->batch) * c->in.row;
        const float *weights = packed + t * c->n_in * WIDTH;
        if (c->in.column == 1)
            add_products(tile, rows, in, c->in.row, 1, weights, WIDTH, c->n_in);
        else
            add_products(tile, rows, in, c->in.row, c->in.column, weights, WIDTH, c->n_in);
    }
    finish_forward(c, tile, rows, row, first, bias);
}

void convolution_forward(const Convolution *c)
{
    pack_forward(c);
#pragma omp parallel num_threads((int)c->threads)
    {
        integer me = omp_get_thread_num(), team = omp_get_num_threads();
        integer row = part_of(c->rows, ROWS, me, team);
        integer end = part_of(c->rows, ROWS, me + 1, team);
        for (; row + ROWS <= end; row += ROWS)
            for (integer first = 0; first < c->n_out; first += WIDTH)
                forward_tile(c, ROWS, row, first);
        for (; row < end; row++)
            for (integer first = 0; first < c->n_out; first += WIDTH)
                forward_tile(c, 1, row, first);
    }
}

/* Multiply the kept slopes by the gradient, some rows of them. */
static void activate_back(const Convolution *c, integer row, integer rows)
{
    const Matrix slopes = {c->slope, c->n_out, 1};
    for (integer i = row; i < row + rows; i++)
        for (integer first = 0; first < c->n_out; first += WIDTH) {
            integer n = columns_left(c->n_out, first);
            vec slope[2], grad[2];
            get(slopes, i, first, n, slope);
            get(c->grad, i, first, n, grad);
            slope[0] *= grad[0];
            slope[1] *= grad[1];
            put(slopes, i, first, n, slope);
        }
}

INLINE void weight_tile(int tall, const float *in, Matrix strides, integer rows,
                        const float *grad, float *share)
{
    vec tile[ROWS][2];
    for (int i = 0; i < tall; i++) {
        tile[i][0] = load(share + i * WIDTH);
        tile[i][1] = load(share + i * WIDTH + LANES);
    }
    if (strides.column == 1)
        add_products(tile, tall, in, 1, strides.row, grad, WIDTH, rows);
    else
        add_products(tile, tall, in, strides.column, strides.row, grad, WIDTH, rows);
    for (int i = 0; i < tall; i++) {
        store(share + i * WIDTH, tile[i][0]);
        store(share + i * WIDTH + LANES, tile[i][1]);
    }
}

/* Ask for some rows of the input ahead of use: a weight gradient reads a few columns of many rows at
 * a time, which the processor does not foresee. */
static void fetch(const Convolution *c, integer row, integer rows)
{
    for (integer t = 0; t < (c->batch > 1 ? c->taps : 1); t++)
        for (integer i = row + t * c->batch; i < row + t * c->batch + rows; i++)
            for (integer k = 0; k < c->n_in; k += 16)
                __builtin_prefetch(c->in.at + i * c->in.row + k);
}

/* Add what some rows give to a thread's share: [panel][tap][in][WIDTH of out], then the bias. */
static void add_to_share(const Convolution *c, Matrix inner, integer row, integer rows,
                         float *share)
{
    float grad[BLOCK * WIDTH] __attribute__((aligned(64)));
    integer depth = c->taps * c->n_in;
    if (c->in.column == 1)
        fetch(c, row, rows);
    for (integer first = 0; first < c->n_out; first += WIDTH) {
        float *of_bias = share + panels(c->n_out) * depth * WIDTH + first;
        vec total[2] = {load(of_bias), load(of_bias + LANES)};
        for (integer i = 0; i < rows; i++) {
            vec tile[2];
            get(inner, row + i, first, columns_left(c->n_out, first), tile);
            total[0] += tile[0];
            total[1] += tile[1];
            memcpy(grad + i * WIDTH, tile, sizeof tile);
        }
        memcpy(of_bias, total, sizeof total);
        for (integer t = 0; t < c->taps; t++) {
            float *of_tap = share + (first / WIDTH * depth + t * c->n_in) * WIDTH;
            const float *in = c->in.at + (row + t * c->batch) * c->in.row;
            integer i = 0;
            for (; i + ROWS <= c->n_in; i += ROWS)
                weight_tile(ROWS, in + i * c->in.column, c->in, rows, grad, of_tap + i * WIDTH);
            for (; i + ROWS / 2 <= c->n_in; i += ROWS / 2)
                weight_tile(ROWS / 2, in + i * c->in.column, c->in, rows, grad,
                            of_tap + i * WIDTH);
            for (; i < c->n_in; i++)
                weight_tile(1, in + i * c->in.column, c->in, rows, grad, of_tap + i * WIDTH);
        }
    }
}

/* Sum the threads' shares into the gradients of weight and bias, some outputs of them. */
static void sum_shares(const Convolution *c, const float *shares, integer team, integer out,
                       integer end)
{
    integer depth = c->taps * c->n_in, size = panels(c->n_out) * (depth + 1) * WIDTH;
    for (integer o = out; o < end; o++) {
        const float *panel = shares + o / WIDTH * depth * WIDTH + o % WIDTH;
        for (integer i = 0; c->weight_grad && i < c->n_in; i++)
            for (integer t = 0; t < c->taps; t++) {
                float total = 0;
                for (integer each = 0; each < team; each++)
                    total += panel[each * size + (t * c->n_in + i) * WIDTH];
                c->weight_grad[(o * c->n_in + i) * c->taps + t] = total;
            }
        float total = 0;
        for (integer each = 0; each < team; each++)
            total += shares[each * size + panels(c->n_out) * depth * WIDTH + o];
        if (c->bias_grad)
            c->bias_grad[o] = total;
    }
}

/* Tell whether `rows` rows from `row` lie inside the output: 1 all, 0 some, -1 none. */
INLINE int inside(const Convolution *c, integer row, integer rows)
{
    if (row + rows <= 0 || row >= c->rows)
        return -1;
    return row >= 0 && row + rows <= c->rows;
}

INLINE void backward_tile(const Convolution *c, Matrix inner, int rows, integer row,
                          integer first)
{
    const float *packed = c->scratch + first * c->taps * c->n_out;
    integer n = columns_left(c->n_in, first);
    vec tile[ROWS][2] = {{{0}}};
    for (integer t = 0; t < c->taps; t++) {
        integer from = row - t * c->batch;
        if (inside(c, from, rows) != 1)
            continue;
        const float *grad = inner.at + from * inner.row;
        const float *weights = packed + t * c->n_out * WIDTH;
        if (inner.column == 1)
            add_products(tile, rows, grad, inner.row, 1, weights, WIDTH, c->n_out);
        else
            add_products(tile, rows, grad, inner.row, inner.column, weights, WIDTH, c->n_out);
    }
    for (int i = 0; i < rows; i++) {
        integer from = row + i - c->before * c->batch;
        if (c->before >= 0 && inside(c, from, 1) == 1) {
            vec shortcut[2];
            get(c->grad, from, first, n, shortcut);
            tile[i][0] += shortcut[0];
            tile[i][1] += shortcut[1];
        }
        put(c->in_grad, row + i, first, n, tile[i]);
    }
}

/* Whether each tap reaches all of these rows, or none of them. */
static int is_uniform(const Convolution *c, integer row, integer rows)
{
    for (integer t = 0; t < c->taps; t++)
        if (!inside(c, row - t * c->batch, rows))
            return 0;
    return 1;
}

static void input_gradient(const Convolution *c, Matrix inner, integer row, integer end)
{
    while (row < end) {
        int whole = row + ROWS <= end && is_uniform(c, row, ROWS);
        for (integer first = 0; first < c->n_in; first += WIDTH)
            if (whole)
                backward_tile(c, inner, ROWS, row, first);
            else
                backward_tile(c, inner, 1, row, first);
        row += whole ? ROWS : 1;
    }
}

void convolution_backward(const Convolution *c)
{
    const Matrix slopes = {c->slope, c->n_out, 1}, inner = c->slope ? slopes : c->grad;
    integer forth = panels(c->n_out) * (c->taps * c->n_in + 1) * WIDTH;
    integer back = panels(c->n_in) * c->taps * c->n_out * WIDTH;
    integer wide = c->rows + (c->taps - 1) * c->batch; /* rows of the input */
    float *shares = c->scratch + (forth > back ? forth : back);
    pack_backward(c);
#pragma omp parallel num_threads((int)c->threads)
    {
        integer me = omp_get_thread_num(), team = omp_get_num_threads();
        integer end = part_of(c->rows, ROWS, me + 1, team);
        float *share = shares + me * forth;
        memset(share, 0, sizeof(float) * forth);
        for (integer row = part_of(c->rows, ROWS, me, team); row < end; row += BLOCK) {
            integer rows = end - row < BLOCK ? end - row : BLOCK;
            if (c->slope)
                activate_back(c, row, rows);
            if (c->weight_grad || c->bias_grad)
                add_to_share(c, inner, row, rows, share);
        }
#pragma omp barrier
        sum_shares(c, shares, team, c->n_out * me / team, c->n_out * (me + 1) / team);
        /* Last, for it may take the place of the input. */
        if (c->in_grad.at)
            input_gradient(c, inner, part_of(wide, ROWS, me, team),
                           part_of(wide, ROWS, me + 1, team));
    }
}
