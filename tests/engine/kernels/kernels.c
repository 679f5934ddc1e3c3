/* The other kernels. */
#include "support.h"

typedef void (*Tell)(const char *name, uint64_t hash);

static uint64_t infonce(uint64_t hash, integer rows, integer columns, integer depth, int euclidean,
                        double scale, integer threads)
{
    Room room = {.draw = {rows + columns}};
    InfoNCE l = {.rows = rows, .columns = columns, .depth = depth, .euclidean = euclidean,
                 .threads = threads, .scale = scale};
    l.reference = as_matrix(numbers(&room, rows * depth, 1), rows, depth, 0);
    l.positive = as_matrix(numbers(&room, rows * depth, 1), rows, depth, 1);
    l.negative = as_matrix(numbers(&room, columns * depth, 1), columns, depth, euclidean);
    l.reference_grad = as_matrix(floats(&room, rows * depth), rows, depth, 1);
    l.positive_grad = as_matrix(floats(&room, rows * depth), rows, depth, 0);
    l.negative_grad = as_matrix(floats(&room, columns * depth), columns, depth, !euclidean);
    l.loss = floats(&room, 5);
    l.scratch = floats(&room, infonce_scratch(&l));
    infonce_gradient(&l);
    hash = hashed_floats(hash, l.loss, 5);
    hash = hashed_floats(hash, l.reference_grad.at, rows * depth);
    hash = hashed_floats(hash, l.positive_grad.at, rows * depth);
    hash = hashed_floats(hash, l.negative_grad.at, columns * depth);
    leave(&room);
    return hash;
}

static void losses(integer threads, Tell tell)
{
    static const integer sizes[][3] = {{1, 1, 1},    {8, 32, 3},  {9, 33, 2},     {100, 700, 17},
                                       {40, 5, 40},  {7, 1, 4},   {1, 65, 1},     {333, 1025, 5},
                                       {512, 512, 3}, {1101, 300, 8}};
    for (integer i = 0; i < LENGTH(sizes); i++)
        for (int euclidean = 0; euclidean < 2; euclidean++) {
            const integer *s = sizes[i];
            uint64_t hash = START;
            char name[80];
            for (double scale = 0.125; scale < 200; scale *= 32)
                hash = infonce(hash, s[0], s[1], s[2], euclidean, scale, threads);
            snprintf(name, sizeof name, "infonce_%ldx%ldx%ld%s", (long)s[0], (long)s[1],
                     (long)s[2], euclidean ? "_euclidean" : "");
            tell(name, hash);
        }
}

static uint64_t adam(Adam settings, int is_bounded)
{
    static const integer sizes[] = {1, 3, 5, 16, 17, 33 * 7};
    Room room = {.draw = {1}};
    Moments all[LENGTH(sizes)];
    uint64_t hash = START;
    for (integer i = 0; i < LENGTH(sizes); i++) {
        float *largest = is_bounded ? numbers(&room, sizes[i], 0) : 0;
        all[i] = (Moments){numbers(&room, sizes[i], 1), numbers(&room, sizes[i], 0),
                           numbers(&room, sizes[i], 0), largest, numbers(&room, sizes[i], 1),
                           numbers(&room, 1, 0),        sizes[i]};
    }
    for (int step = 0; step < 5; step++) {
        adam_update(all, LENGTH(sizes), &settings);
        for (integer i = 0; i < LENGTH(sizes); i++)
            for (integer k = 0; k < sizes[i]; k++)
                ((float *)all[i].grad)[k] = number(&room.draw);
    }
    for (integer i = 0; i < LENGTH(sizes); i++) {
        hash = hashed_floats(hash, all[i].weight, sizes[i]);
        hash = hashed_floats(hash, all[i].mean, sizes[i]);
        hash = hashed_floats(hash, all[i].square, sizes[i]);
        if (is_bounded)
            hash = hashed_floats(hash, all[i].largest, sizes[i]);
    }
    leave(&room);
    return hash;
}

static void updates(integer threads, Tell tell)
{
    const Adam plain = {.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    Adam decay = plain, decoupled = plain, up = plain;
    (void)threads;
    decay.decay = decoupled.decay = 0.1;
    decoupled.decoupled = up.maximize = 1;
    tell("adam", adam(plain, 0));
    tell("adam_decay", adam(decay, 0));
    tell("adam_decoupled", adam(decoupled, 0));
    tell("adam_amsgrad", adam(plain, 1));
    tell("adam_maximize", adam(up, 0));
}

static uint64_t rows(uint64_t hash, integer n, integer columns, integer there, int is_transposed,
                     integer threads)
{
    Room room = {.draw = {n}};
    Matrix source = as_matrix(numbers(&room, there * columns, 1), there, columns, is_transposed);
    float *listed = floats(&room, n * columns), *sums = floats(&room, there * columns);
    Matrix middle = as_matrix(listed, n, columns, is_transposed);
    const integer *index = indices(&room, n, there);
    Rows gathered = {n, columns, n, threads, source, middle, index};
    Rows summed = {n, columns, there, threads, middle, as_matrix(sums, there, columns, 0), index};
    const Step both[] = {{(void *)rows_gather, &gathered}, {(void *)rows_sum, &summed}};
    run_steps(both, LENGTH(both));
    hash = hashed_floats(hash, listed, n * columns);
    hash = hashed_floats(hash, sums, there * columns);
    leave(&room);
    return hash;
}

static uint64_t lengths(uint64_t hash, integer n, integer columns, int is_transposed,
                        integer threads)
{
    Room room = {.draw = {n}};
    Lengths l = {.rows = n, .columns = columns, .threads = threads};
    l.input = as_matrix(numbers(&room, n * columns, 1), n, columns, is_transposed);
    l.output = as_matrix(floats(&room, n * columns), n, columns, is_transposed);
    l.grad = as_matrix(numbers(&room, n * columns, 1), n, columns, 0);
    l.input_grad = l.input; /* it may take the place of the input */
    l.lengths = floats(&room, n);
    lengths_forward(&l);
    lengths_backward(&l);
    hash = hashed_floats(hash, l.output.at, n * columns);
    hash = hashed_floats(hash, l.input_grad.at, n * columns);
    hash = hashed_floats(hash, l.lengths, n);
    leave(&room);
    return hash;
}

static uint64_t windows(void)
{
    enum { N = 60, WIDE = 7, LONG = 500, ENOUGH = 500 };
    Room room = {.draw = {3}};
    const integer *start = indices(&room, N, LONG - WIDE + 1);
    int32_t *place = take(&room, sizeof(int32_t) * LONG);
    integer *kept = take(&room, sizeof(integer) * ENOUGH), *first = take(&room, sizeof(integer) * N);
    integer found = windows_cover(start, N, WIDE, LONG, place, ENOUGH, kept, first);
    uint64_t hash = hashed(START, &found, sizeof found);
    hash = hashed(hash, kept, sizeof(integer) * ENOUGH);
    hash = hashed(hash, first, sizeof(integer) * N);
    for (integer i = 0; i < N; i++)
        for (integer lag = 0; lag < WIDE; lag++)
            if (kept[first[i] + lag] != start[i] + lag)
                stop(1, "a window is not where it should be");
    if (windows_cover(start, N, WIDE, LONG, place, found - 1, kept, first) != -1)
        stop(1, "windows had no room, and did not say so");
    leave(&room);
    return hash;
}

/* Stretches of a temporary file whose bytes tell their place; then what cannot be read. */
static uint64_t stretches(integer n, integer threads)
{
    enum { LONG = 100000, LONGEST = 300 };
    Room room = {.draw = {n}};
    FILE *file = tmpfile();
    if (!file)
        stop(2, "no temporary file");
    for (integer i = 0; i < LONG; i++)
        putc((int)(i * 31 % 251), file);
    if (fflush(file))
        stop(2, "no room for a temporary file");
    integer *places = indices(&room, n, LONG - LONGEST), *sizes = indices(&room, n, LONGEST);
    integer *begins = take(&room, sizeof(integer) * n), all = 0;
    for (integer i = 0; i < n; all += sizes[i++])
        begins[i] = all;
    char *to = take(&room, all);
    if (stretches_read(fileno(file), n, places, sizes, begins, to, threads))
        stop(1, "a file cannot be read");
    for (integer i = 0; i < n; i++)
        for (integer k = 0; k < sizes[i]; k++)
            if ((unsigned char)to[begins[i] + k] != (places[i] + k) * 31 % 251)
                stop(1, "a stretch is not that of the file");
    uint64_t hash = hashed(START, to, all);
    sizes[n / 2] = 2, places[n / 2] = LONG - 1;
    if (stretches_read(fileno(file), n, places, sizes, begins, to, threads) != -1)
        stop(1, "a file was over before, and nobody said so");
    if (stretches_read(-1, n, places, sizes, begins, to, threads) <= 0)
        stop(1, "nothing was read, and nobody said so");
    fclose(file);
    leave(&room);
    return hash;
}

/* Points on a grid, so that many are equally near; as points.py lays them out. */
static uint64_t neighbours(integer points, integer dims, double period, int is_grouped,
                           integer threads)
{
    enum { ASKED = 700, LEAF = 32, VECTOR = 8 };
    Room room = {.draw = {points}};
    integer levels = 0;
    while (LEAF << levels < points)
        levels++;
    integer slots = (((points - 1) >> levels) + VECTOR) / VECTOR * VECTOR;
    double *source = take(&room, sizeof(double) * points * dims);
    double *periods = take(&room, sizeof(double) * dims), *at, *draws;
    for (integer i = 0; i < points; i++)
        for (integer k = 0, left = i * 7919 % points; k < dims; k++, left /= 30)
            source[i * dims + k] = k + 1 < dims ? left % 30 : left;
    for (integer k = 0; k < dims; k++)
        periods[k] = k ? 0 : period;
    Tree t = {points, dims, levels, slots, source, periods,
              take(&room, sizeof(double) * dims * slots << levels),
              take(&room, sizeof(double) * dims * 2 * ((2 << levels) - 1)),
              take(&room, sizeof(int32_t) * points)};
    tree_build(&t);
    integer *starts = take(&room, sizeof(integer) * (points + 1));
    for (integer i = starts[0] = 0; i < points; i++)
        starts[i + 1] = starts[i] + (is_grouped ? 1 + below(&room.draw, 3) : 1);
    int32_t *samples = take(&room, sizeof(int32_t) * starts[points]);
    for (integer i = 0; i < starts[points]; i++)
        samples[i] = (int32_t)i;
    at = take(&room, sizeof(double) * ASKED * dims);
    draws = take(&room, sizeof(double) * ASKED);
    for (integer i = 0; i < ASKED * dims; i++)
        at[i] = i % 2 ? 40 * number(&room.draw) : below(&room.draw, 80) / 2.0 - 5;
    for (integer i = 0; i < ASKED; i++)
        draws[i] = below(&room.draw, 1 << 20) / (double)(1 << 20);
    integer *found = take(&room, sizeof(integer) * ASKED);
    Queries q = {ASKED, threads, at, draws, samples, is_grouped ? starts : 0, found};
    if (tree_nearest(&t, &q))
        stop(2, "no memory to look for neighbours");
    uint64_t hash = hashed(START, found, sizeof(integer) * ASKED);
    hash = hashed(hash, t.order, sizeof(int32_t) * points);
    hash = hashed(hash, t.boxes, sizeof(double) * dims * 2 * ((2 << levels) - 1));
    leave(&room);
    return hash;
}

void others(integer threads, Tell tell)
{
    tell("stretches_few", stretches(3, threads));
    tell("stretches_many", stretches(700, threads));
    uint64_t moved = START, set = START;
    losses(threads, tell);
    updates(threads, tell);
    moved = rows(moved, 200, 17, 40, 0, threads);
    moved = rows(moved, 3000, 5, 300, 1, threads);
    moved = rows(moved, 20, 33, 2, 0, threads);
    tell("rows", moved);
    set = lengths(set, 1, 1, 0, threads);
    set = lengths(set, 700, 3, 1, threads);
    set = lengths(set, 1500, 40, 0, threads);
    tell("lengths", set);
    tell("windows", windows());
    tell("neighbours_one", neighbours(1, 1, 0, 0, threads));
    tell("neighbours_line", neighbours(999, 1, 0, 1, threads));
    tell("neighbours_circle", neighbours(500, 1, 500, 0, threads));
    tell("neighbours_plane", neighbours(1200, 2, 0, 0, threads));
    tell("neighbours_cylinder", neighbours(1200, 2, 30, 1, threads));
    tell("neighbours_space", neighbours(2700, 3, 30, 0, threads));
}
