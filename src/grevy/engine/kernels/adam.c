/* Adam (Kingma & Ba, 2015, algorithm 1), with the variants of torch.optim.Adam and AdamW. */
#include <math.h>

#include "vector.h"

/* Mirrored by `grevy.engine.kernels.Moments`. */
typedef struct {
    float *weight, *mean, *square, *largest; /* `largest` only with amsgrad, else null */
    const float *grad;
    float *step; /* updates so far */
    integer size;
} Moments;

/* Mirrored by `grevy.engine.kernels.Adam`. */
typedef struct {
    double rate, beta1, beta2, decay, epsilon;
    integer decoupled, maximize;
} Adam;

INLINE vec root_of(vec x)
{
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = sqrtf(x[lane]);
    return x;
}

/* All numbers pass through the same instructions, those of a last, broken vector too: were there
 * a second loop for them, it might round differently, and results would depend on alignment. */
static void update(const Moments *of, const Adam *adam)
{
    double step = *of->step += 1;
    float to_mean = 1 - adam->beta1, to_square = 1 - adam->beta2, epsilon = adam->epsilon;
    float size = adam->rate / (1 - pow(adam->beta1, step));
    float root = 1 / sqrt(1 - pow(adam->beta2, step));
    float sign = adam->maximize ? -1 : 1;
    float shrink = adam->decoupled ? 1 - adam->rate * adam->decay : 1;
    float pull = adam->decoupled ? 0 : adam->decay;
    for (integer i = 0; i < of->size; i += LANES) {
        integer n = of->size - i < LANES ? of->size - i : LANES;
        vec weight = load_some(of->weight + i, n), mean = load_some(of->mean + i, n);
        vec square = load_some(of->square + i, n), bound;
        vec slope = sign * load_some(of->grad + i, n) + pull * weight;
        mean += to_mean * (slope - mean);
        square += to_square * (slope * slope - square);
        bound = square;
        if (of->largest) {
            bound = larger(square, load_some(of->largest + i, n));
            store_some(of->largest + i, bound, n);
        }
        weight = shrink * weight - size * mean / (root_of(bound) * root + epsilon);
        store_some(of->mean + i, mean, n);
        store_some(of->square + i, square, n);
        store_some(of->weight + i, weight, n);
    }
}

void adam_update(const Moments *all, integer n, const Adam *adam)
{
    for (integer i = 0; i < n; i++)
        update(all + i, adam);
}
