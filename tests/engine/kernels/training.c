/* A small encoder, trained: two convolutions with GELU, the second with a shortcut; lengths of one;
 * InfoNCE; Adam. */
#include "support.h"

enum { STEPS = 50, LONG = 400, NEURONS = 20, WIDE = 16, TAPS = 3, WINDOW = 5, BATCH = 256,
       ALL = 3 * BATCH };

/* The references' windows, the positives' a step later and the negatives', time first. */
static void draw_windows(Draw *draw, integer *index)
{
    for (integer i = 0; i < BATCH; i++) {
        integer reference = below(draw, LONG - WINDOW), negative = below(draw, LONG - WINDOW);
        for (integer lag = 0; lag < WINDOW; lag++) {
            index[lag * ALL + i] = reference + lag;
            index[lag * ALL + BATCH + i] = reference + lag + 1;
            index[lag * ALL + 2 * BATCH + i] = negative + lag;
        }
    }
}

/* A layer with its parameters; `input` has `columns` columns, and gets its gradient in place. */
static Convolution layer(Room *room, integer threads, integer rows, integer columns, Matrix input,
                         const integer *index)
{
    Convolution c = {.rows = rows, .batch = ALL, .taps = TAPS, .n_in = columns, .n_out = WIDE,
                     .before = index ? -1 : 1, .threads = threads, .input = input, .index = index};
    c.weight = numbers(room, WIDE * columns * TAPS, 0.2f);
    c.bias = numbers(room, WIDE, 0);
    c.output = as_matrix(floats(room, rows * WIDE), rows, WIDE, !index);
    c.slope = floats(room, rows * WIDE);
    c.weight_grad = floats(room, WIDE * columns * TAPS);
    c.bias_grad = floats(room, WIDE);
    c.scratch = floats(room, convolution_scratch(&c));
    return c;
}

static Moments moments(Room *room, const float *weight, const float *grad, integer size)
{
    return (Moments){(float *)weight,        numbers(room, size, 0), numbers(room, size, 0), 0,
                     grad,                   numbers(room, 1, 0),    size};
}

static Matrix part(Matrix of, integer number)
{
    return (Matrix){of.at + number * BATCH * of.row, of.row, of.column};
}

uint64_t trained(integer threads)
{
    const Adam settings = {.rate = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    Room room = {.draw = {5}};
    Matrix neural = as_matrix(numbers(&room, LONG * NEURONS, 1), LONG, NEURONS, 0);
    integer *index = take(&room, sizeof(integer) * WINDOW * ALL);
    Convolution one = layer(&room, threads, TAPS * ALL, NEURONS, neural, index);
    Convolution two = layer(&room, threads, ALL, WIDE, one.output, 0);
    Lengths last = {.rows = ALL, .columns = WIDE, .threads = threads, .input = two.output};
    last.output = as_matrix(floats(&room, ALL * WIDE), ALL, WIDE, 1);
    last.lengths = floats(&room, ALL);
    Matrix grad = as_matrix(floats(&room, ALL * WIDE), ALL, WIDE, 1);
    last.grad = last.input_grad = two.grad = grad;
    two.input_grad = one.grad = one.output;
    InfoNCE loss = {.rows = BATCH, .columns = BATCH, .depth = WIDE, .threads = threads, .scale = 3,
                    .reference = part(last.output, 0), .positive = part(last.output, 1),
                    .negative = part(last.output, 2), .reference_grad = part(grad, 0),
                    .positive_grad = part(grad, 1), .negative_grad = part(grad, 2),
                    .loss = floats(&room, 5)};
    loss.scratch = floats(&room, infonce_scratch(&loss));
    const Moments all[] = {moments(&room, one.weight, one.weight_grad, WIDE * NEURONS * TAPS),
                           moments(&room, one.bias, one.bias_grad, WIDE),
                           moments(&room, two.weight, two.weight_grad, WIDE * WIDE * TAPS),
                           moments(&room, two.bias, two.bias_grad, WIDE)};
    const Step steps[] = {
        {(void *)convolution_forward, &one},   {(void *)convolution_forward, &two},
        {(void *)lengths_forward, &last},      {(void *)infonce_gradient, &loss},
        {(void *)lengths_backward, &last},     {(void *)convolution_backward, &two},
        {(void *)convolution_backward, &one},
    };
    float first = 0;
    for (int step = 0; step < STEPS; step++) {
        draw_windows(&room.draw, index);
        run_steps(steps, LENGTH(steps));
        adam_update(all, LENGTH(all), &settings);
        first = step ? first : loss.loss[0];
    }
    if (!(loss.loss[0] < first - 1))
        stop(1, "nothing was learnt");
    uint64_t hash = hashed_floats(START, loss.loss, 5);
    for (integer i = 0; i < LENGTH(all); i++)
        hash = hashed_floats(hash, all[i].weight, all[i].size);
    leave(&room);
    return hash;
}
