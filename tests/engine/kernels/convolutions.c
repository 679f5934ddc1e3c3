/* Convolutions forth and back: tiles whole and cut, windows and sequences, in every layout. */
#include "support.h"

typedef struct {
    integer rows, n_in, n_out, taps, batch;
} Shape;

/* What varies within a shape. `slack` widens the distance between rows. */
typedef struct {
    int is_activated, has_bias, is_listed, is_frozen;
    enum { NO_INPUT_GRAD, FRESH, IN_PLACE } need;
    int is_input_transposed, is_output_transposed, is_grad_transposed;
    integer before, slack;
} Variant;

static Matrix matrix(Room *room, integer rows, integer columns, int is_transposed, integer slack,
                     int is_filled)
{
    integer side = is_transposed ? rows : columns, other = is_transposed ? columns : rows;
    integer size = (side + slack) * (other - 1) + side;
    float *all = is_filled ? numbers(room, size, 1) : floats(room, size);
    return is_transposed ? (Matrix){all, 1, side + slack} : (Matrix){all, side + slack, 1};
}

static uint64_t hashed_matrix(uint64_t hash, Matrix of, integer rows, integer columns)
{
    for (integer i = 0; i < rows; i++)
        for (integer k = 0; k < columns; k++)
            hash = hashed_floats(hash, of.at + i * of.row + k * of.column, 1);
    return hash;
}

static uint64_t both_ways(uint64_t hash, Shape shape, Variant v, integer threads)
{
    Room room = {.draw = {shape.rows + v.need}};
    integer wide = shape.rows + (shape.taps - 1) * shape.batch;
    integer weights = shape.n_out * shape.n_in * shape.taps;
    integer source = v.is_listed ? 90 : wide;
    Convolution c = {.rows = shape.rows, .batch = shape.batch, .taps = shape.taps,
                     .n_in = shape.n_in, .n_out = shape.n_out, .before = v.before,
                     .threads = threads};
    c.weight = numbers(&room, weights, 0.5f);
    c.bias = v.has_bias ? numbers(&room, shape.n_out, 1) : 0;
    c.input = matrix(&room, source, shape.n_in, v.is_input_transposed, v.slack, 1);
    c.index = v.is_listed ? indices(&room, wide, source) : 0;
    c.output = matrix(&room, shape.rows, shape.n_out, v.is_output_transposed, v.slack, 0);
    c.slope = v.is_activated ? floats(&room, shape.rows * shape.n_out) : 0;
    c.scratch = floats(&room, convolution_scratch(&c));
    convolution_forward(&c);
    hash = hashed_matrix(hash, c.output, shape.rows, shape.n_out);
    if (c.slope)
        hash = hashed_floats(hash, c.slope, shape.rows * shape.n_out);
    c.grad = matrix(&room, shape.rows, shape.n_out, v.is_grad_transposed, v.slack, 1);
    c.weight_grad = v.is_frozen ? 0 : floats(&room, weights);
    c.bias_grad = v.has_bias ? floats(&room, shape.n_out) : 0;
    if (v.need == FRESH)
        c.input_grad = matrix(&room, wide, shape.n_in, v.is_grad_transposed, v.slack, 0);
    if (v.need == IN_PLACE)
        c.input_grad = c.input;
    convolution_backward(&c);
    if (c.input_grad.at)
        hash = hashed_matrix(hash, c.input_grad, wide, shape.n_in);
    if (c.weight_grad)
        hash = hashed_floats(hash, c.weight_grad, weights);
    if (c.bias_grad)
        hash = hashed_floats(hash, c.bias_grad, shape.n_out);
    leave(&room);
    return hash;
}

/* Each way of laying a shape out. */
static uint64_t every_variant(Shape shape, int is_activated, integer threads)
{
    const Variant variants[] = {
        {.has_bias = 1, .need = NO_INPUT_GRAD, .before = -1},
        {.has_bias = 1, .need = NO_INPUT_GRAD, .before = -1, .is_listed = 1},
        {.need = NO_INPUT_GRAD, .before = -1, .is_listed = 1, .slack = 3},
        {.has_bias = 1, .need = FRESH, .before = -1, .is_input_transposed = 1},
        {.need = FRESH, .before = 0, .is_output_transposed = 1, .slack = 5},
        {.has_bias = 1, .need = IN_PLACE, .before = shape.taps - 1, .is_grad_transposed = 1},
        {.has_bias = 1, .is_frozen = 1, .need = IN_PLACE, .before = shape.taps / 2,
         .is_input_transposed = 1, .is_output_transposed = 1, .is_grad_transposed = 1},
        {.is_frozen = 1, .need = FRESH, .before = -1},
    };
    uint64_t hash = START;
    for (integer i = 0; i < LENGTH(variants); i++) {
        Variant v = variants[i];
        v.is_activated = is_activated;
        if (shape.n_in != shape.n_out)
            v.before = -1;
        hash = both_ways(hash, shape, v, threads);
    }
    return hash;
}

void convolutions(integer threads, void (*tell)(const char *name, uint64_t hash))
{
    const Shape shapes[] = {
        {1, 1, 1, 1, 1},       {7, 4, 3, 2, 1},       {8, 32, 32, 3, 1},   {300, 100, 32, 2, 1},
        {35, 33, 65, 3, 5},    {48, 32, 3, 3, 16},    {90, 16, 16, 4, 9},  {260, 5, 40, 3, 130},
        {6, 3, 2, 5, 2},       {1100, 12, 12, 3, 1},  {4200, 3, 5, 2, 1},  {1536, 8, 8, 3, 512},
        {3, 40, 40, 3, 3},     {129, 17, 31, 1, 129}, {2, 1, 64, 2, 1},
    };
    for (integer i = 0; i < LENGTH(shapes); i++)
        for (int is_activated = 0; is_activated < 2; is_activated++) {
            char name[80];
            Shape s = shapes[i];
            snprintf(name, sizeof name, "convolution_%ldx%ldx%ldx%ldx%ld%s", (long)s.rows,
                     (long)s.n_in, (long)s.n_out, (long)s.taps, (long)s.batch,
                     is_activated ? "_gelu" : "");
            tell(name, every_variant(s, is_activated, threads));
        }
}
