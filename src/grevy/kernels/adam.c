/* Adam (Kingma & Ba, 2015, algorithm 1), with the variants of torch.optim.Adam and AdamW. */
#include <math.h>

#include "vector.h"

/* Mirrored by `grevy.kernels.Moments`. */
typedef struct {
    float *weight, *mean, *square, *largest; /* `largest` only with amsgrad, else null */
    const float *grad;
    float *step; /* updates so far */
    integer size;
} Moments;

/* Mirrored by `grevy.kernels.Adam`. */
typedef struct {
    double rate, beta1, beta2, decay, epsilon;
    integer decoupled, maximize;
} Adam;

/* One parameter; `bounded` (amsgrad) is a constant, so that the loop has no branch. */
INLINE void update(const Moments *of, const Adam *adam, int bounded)
{
    float *restrict weight = of->weight, *restrict mean = of->mean;
    float *restrict square = of->square, *restrict largest = of->largest;
    const float *restrict grad = of->grad;
    double step = *of->step += 1;
    float beta1 = adam->beta1, beta2 = adam->beta2, epsilon = adam->epsilon;
    float size = adam->rate / (1 - pow(adam->beta1, step));
    float root = 1 / sqrt(1 - pow(adam->beta2, step));
    float sign = adam->maximize ? -1 : 1;
    float shrink = adam->decoupled ? 1 - adam->rate * adam->decay : 1;
    float pull = adam->decoupled ? 0 : adam->decay;
    for (integer i = 0; i < of->size; i++) {
        float slope = sign * grad[i] + pull * weight[i];
        mean[i] += (1 - beta1) * (slope - mean[i]);
        square[i] = beta2 * square[i] + (1 - beta2) * slope * slope;
        float bound = square[i];
        if (bounded)
            bound = largest[i] = bound > largest[i] ? bound : largest[i];
        weight[i] = shrink * weight[i] - size * mean[i] / (sqrtf(bound) * root + epsilon);
    }
}

void adam_update(const Moments *all, integer n, const Adam *adam)
{
    for (integer i = 0; i < n; i++)
        if (all[i].largest)
            update(all + i, adam, 1);
        else
            update(all + i, adam, 0);
}
