/* Runs the compiled loops without Python, on as many threads as it is told, and prints what they give
 * as hashes: `driver MODE THREADS`.
 *
 * kernels: every kernel, a line for each case. train: the weights of a small encoder after 50 steps.
 * fork: the same in a child and in its child, after work. together: in three threads of a program at
 * once. Status 0 if all is well; 1 if a result is wrong, 2 if memory is.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define PATIENCE 120 /* seconds, then a process that waits for ever is ended */

void convolutions(integer threads, void (*tell)(const char *name, uint64_t hash));
void others(integer threads, void (*tell)(const char *name, uint64_t hash));

static void print(const char *name, uint64_t hash)
{
    printf("%s %016llx\n", name, (unsigned long long)hash);
}

static _Thread_local uint64_t all_hashes;

static void keep(const char *name, uint64_t hash)
{
    all_hashes = hashed(hashed(all_hashes, name, strlen(name)), &hash, sizeof hash);
}

/* One hash of everything. */
static uint64_t everything(integer threads)
{
    uint64_t weights = trained(threads);
    all_hashes = START;
    others(threads, keep);
    keep("trained", weights);
    return all_hashes;
}

/* The same `generations` forks further on; every process has worked before it forks. */
static uint64_t forked(integer threads, int generations)
{
    uint64_t here = everything(threads);
    if (!generations)
        return here;
    pid_t child = fork();
    if (child < 0)
        stop(2, "no process");
    if (!child) {
        alarm(PATIENCE);
        _exit(forked(threads, generations - 1) != here);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status)
        stop(1, "a forked process computes otherwise, or not at all");
    if (everything(threads) != here)
        stop(1, "after a fork, results are others");
    return here;
}

typedef struct {
    integer threads;
    uint64_t hash;
} Job;

static void *one_of_many(void *of_job)
{
    Job *job = of_job;
    job->hash = everything(job->threads);
    return 0;
}

static uint64_t together(integer threads)
{
    enum { MANY = 3 };
    pthread_t all[MANY];
    Job jobs[MANY];
    for (int i = 0; i < MANY; i++) {
        jobs[i].threads = threads + i;
        if (pthread_create(all + i, 0, one_of_many, jobs + i))
            stop(2, "no thread");
    }
    for (int i = 0; i < MANY; i++)
        pthread_join(all[i], 0);
    for (int i = 1; i < MANY; i++)
        if (jobs[i].hash != jobs[0].hash)
            stop(1, "two threads at once get different results");
    return jobs[0].hash;
}

int main(int n, char **words)
{
    const char *mode = n == 3 ? words[1] : "";
    integer threads = n == 3 ? atoi(words[2]) : 0;
    if (threads > 0 && !strcmp(mode, "kernels")) {
        convolutions(threads, print);
        others(threads, print);
    } else if (threads > 0 && !strcmp(mode, "train"))
        print("trained", trained(threads));
    else if (threads > 0 && !strcmp(mode, "fork"))
        print("everything", forked(threads, 2));
    else if (threads > 0 && !strcmp(mode, "together"))
        print("everything", together(threads));
    else
        stop(3, "driver kernels|train|fork|together THREADS");
    return fflush(stdout) ? 2 : 0;
}
