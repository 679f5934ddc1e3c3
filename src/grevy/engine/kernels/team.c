/* Threads that share work in pieces.
 *
 * Each thread has a seat and a share of the pieces, the same from job to job, so that it meets again
 * what its cache holds; when it is through, it takes what others have not begun. A thread that the
 * system has put aside keeps at most the piece that it is at. Waiting threads look for new work a
 * while, then sleep: the sooner, the more others want the processor.
 *
 * What a job computes never depends on who does which piece.
 */
#define _GNU_SOURCE /* for RUSAGE_THREAD */
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "team.h"

/* Looks before a thread sleeps: about 50 microseconds, and two thousand where nobody else wants the
 * processor. Work that follows is met without being woken, which takes longer than many a job. */
#define LOOKS 2000
#define MANY_LOOKS 80000

/* A share of the pieces, in a cache line of its own. */
typedef struct {
    _Alignas(128) atomic_llong next;
    integer end;
} Share;

static struct {
    pthread_mutex_t busy; /* one job at a time */
    pthread_mutex_t lock; /* of the two conditions */
    pthread_cond_t begun, left;
    integer helpers;                /* threads started; helper i has seat i + 1 */
    atomic_llong job;               /* odd while there is one */
    atomic_llong inside;            /* helpers that are at it */
    atomic_int is_awaited;          /* whether the caller sleeps until all have left */
    atomic_int asleep[MOST_PIECES]; /* by seat */
    atomic_llong threads;           /* seats below it have a share */
    integer pieces, length, step;
    fenv_t mode; /* how the caller rounds, and whether it keeps what is tiny */
    Act act;
    const void *argument;
    Share shares[MOST_PIECES];
} team = {
    .busy = PTHREAD_MUTEX_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .begun = PTHREAD_COND_INITIALIZER,
    .left = PTHREAD_COND_INITIALIZER,
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Where piece number `number` of `pieces` begins. */
static integer start_of(integer number, integer pieces, integer length, integer step)
{
    integer start = (length + step - 1) / step * number / pieces * step;
    return start < length ? start : length;
}

static Piece piece_at(integer number, integer pieces, integer length, integer step, integer seat)
{
    return (Piece){start_of(number, pieces, length, step),
                   start_of(number + 1, pieces, length, step), number, pieces, seat};
}

/* Take pieces, first of one's own share, then of the others', until none is left. */
static void work(integer seat)
{
    integer threads = atomic_load(&team.threads);
    for (integer i = 0; i < threads; i++) {
        Share *share = &team.shares[(seat + i) % threads];
        for (;;) {
            integer number = atomic_fetch_add(&share->next, 1);
            if (number >= share->end)
                break;
            team.act(team.argument,
                     piece_at(number, team.pieces, team.length, team.step, seat));
        }
    }
}

/* How often the system has put this thread aside for another, where it says so. */
static integer times_put_aside(void)
{
#if defined(RUSAGE_THREAD)
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
#else
    return 0;
#endif
}

/* Tell whether job number `job` is going on, is not that number `done`, and has a share for a seat. */
static int is_for(integer seat, integer job, integer done)
{
    return job != done && job % 2 && seat < atomic_load(&team.threads);
}

/* Wait for a job other than `done`; return its number. */
static integer next_job(integer seat, integer done, integer looks)
{
    integer job;
    for (integer look = 0; look < looks; look++) {
        if (is_for(seat, job = atomic_load(&team.job), done))
            return job;
        relax();
    }
    pthread_mutex_lock(&team.lock);
    atomic_store(&team.asleep[seat], 1);
    while (!is_for(seat, job = atomic_load(&team.job), done))
        pthread_cond_wait(&team.begun, &team.lock);
    atomic_store(&team.asleep[seat], 0);
    pthread_mutex_unlock(&team.lock);
    return job;
}

static void *help(void *of_seat)
{
    integer seat = (intptr_t)of_seat, job = 0, looks = MANY_LOOKS, before = 0;
    for (;;) {
        integer aside = times_put_aside();
        looks = aside != before ? looks / 2 : looks + looks / 256;
        looks = looks < LOOKS ? LOOKS : looks < MANY_LOOKS ? looks : MANY_LOOKS;
        before = aside;
        job = next_job(seat, job, looks);
        atomic_fetch_add(&team.inside, 1);
        if (atomic_load(&team.job) == job) {
            fesetenv(&team.mode);
            work(seat);
        }
        if (atomic_fetch_sub(&team.inside, 1) == 1 && atomic_load(&team.is_awaited)) {
            pthread_mutex_lock(&team.lock);
            pthread_cond_signal(&team.left);
            pthread_mutex_unlock(&team.lock);
        }
    }
    return 0;
}

/* A forked process has this thread alone. */
static void start_anew(void)
{
    team.helpers = 0;
    atomic_store(&team.job, 0);
    atomic_store(&team.inside, 0);
    for (integer seat = 0; seat < MOST_PIECES; seat++)
        atomic_store(&team.asleep[seat], 0);
    atomic_store(&team.is_awaited, 0);
    pthread_mutex_init(&team.busy, 0);
    pthread_mutex_init(&team.lock, 0);
    pthread_cond_init(&team.begun, 0);
    pthread_cond_init(&team.left, 0);
}

/* Start helpers until there are `wanted`, or the system gives no more. */
static void hire(integer wanted)
{
    static int is_told;
    sigset_t all, before;
    if (team.helpers >= wanted)
        return;
    if (!is_told)
        is_told = !pthread_atfork(0, 0, start_anew);
    sigfillset(&all); /* signals are for the threads of the program, but for those of a fault */
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pthread_t thread; team.helpers < wanted; team.helpers++) {
        if (pthread_create(&thread, 0, help, (void *)(intptr_t)(team.helpers + 1)))
            break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, 0);
}

static void wait_for_helpers(void)
{
    for (int look = 0; look < LOOKS; look++) {
        if (!atomic_load(&team.inside))
            return;
        relax();
    }
    pthread_mutex_lock(&team.lock);
    atomic_store(&team.is_awaited, 1);
    while (atomic_load(&team.inside))
        pthread_cond_wait(&team.left, &team.lock);
    atomic_store(&team.is_awaited, 0);
    pthread_mutex_unlock(&team.lock);
}

/* Begin a job whose pieces are shared evenly, and wake who sleeps of those that have a share. */
static void begin(integer threads)
{
    int sleeping = 0;
    atomic_store(&team.threads, threads);
    for (integer seat = 0; seat < threads; seat++) {
        atomic_store(&team.shares[seat].next, team.pieces * seat / threads);
        team.shares[seat].end = team.pieces * (seat + 1) / threads;
    }
    atomic_fetch_add(&team.job, 1);
    for (integer seat = 1; seat < threads; seat++)
        sleeping |= atomic_load(&team.asleep[seat]);
    if (sleeping) {
        pthread_mutex_lock(&team.lock);
        pthread_cond_broadcast(&team.begun);
        pthread_mutex_unlock(&team.lock);
    }
}

void in_pieces(integer threads, integer length, integer step, integer least, Act act,
               const void *argument)
{
    integer pieces = pieces_of(length, least);
    threads = seats_of(threads, pieces);
    if (threads < 2 || pthread_mutex_trylock(&team.busy)) {
        for (integer number = 0; number < pieces; number++)
            act(argument, piece_at(number, pieces, length, step, 0));
        return;
    }
    hire(threads - 1);
    team.act = act;
    team.argument = argument;
    team.pieces = pieces;
    team.length = length;
    team.step = step;
    fegetenv(&team.mode);
    begin(threads);
    work(0);
    atomic_fetch_add(&team.job, 1);
    wait_for_helpers();
    pthread_mutex_unlock(&team.busy);
}
