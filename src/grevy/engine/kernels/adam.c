/* Adam (Kingma & Ba, 2015, algorithm 1), with the variants of torch.optim.Adam and AdamW. */
#include <math.h>

#include "vector.h"

INLINE vec root_of(vec x)
{
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = sqrtf(x[lane]);
    return x;
}

/* base^n, by squaring: the same bits on every system, unlike pow. */
static double power(double base, integer n)
{
    double result = 1;
    for (; n > 0; n /= 2, base *= base)
        result *= n % 2 ? base : 1;
    return result;
}

/* All numbers pass through the same instructions, those of a last, broken vector too: were there
 * a second loop for them, it might round differently, and results would depend on alignment. */
static void update(const Moments *of, const Adam *adam)
{
    double step = *of->step += 1;
    float to_mean = 1 - adam->beta1, to_square = 1 - adam->beta2, epsilon = adam->epsilon;
    float size = adam->rate / (1 - power(adam->beta1, step));
    float root = 1 / sqrt(1 - power(adam->beta2, step));
    float sign = adam->maximize ? -1 : 1;
    float shrink = adam->decoupled ? 1 - adam->rate * adam->decay : 1;
    float pull = adam->decoupled ? 0 : adam->decay;
    for (integer i = 0; i < of->size; i += LANES) {
        integer n = of->size - i < LANES ? of->size - i : LANES;
        vec weight = load_some(of->weight + i, n), mean = load_some(of->mean + i, n);
        vec square = load_some(of->square + i, n), bound;
        vec slope = madd(all(pull), weight, sign * load_some(of->grad + i, n));
        mean = madd(all(to_mean), slope - mean, mean);
        square = madd(all(to_square), madd(slope, slope, -square), square);
        bound = square;
        if (of->largest) {
            bound = larger(square, load_some(of->largest + i, n));
            store_some(of->largest + i, bound, n);
        }
        vec below = madd(root_of(bound), all(root), all(epsilon));
        weight = madd(all(shrink), weight, -(size * mean / below));
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
