/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of children: eventfds and shared memory. */
#include "glue/poke.h"

#include <ap_mpm.h>
#include <apr_atomic.h>
#include <apr_shm.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define USERDATA_KEY "mod_matrix_poke"
#define SPARE_SLOTS 8                /* children that still finish old requests may be more than ServerLimit for a moment */
#define SEND_GAP_US APR_TIME_C(1000)

/** One child, in shared memory. */
typedef struct slot_t {
    volatile apr_uint32_t pid;       /* 0: free */
    apr_uint64_t bits;               /* servers whose stream moved, for this child to take */
    mx_poke_counts_t counts;
} slot_t;

/** The parent's; children have copies of the pointers. */
typedef struct board_t {
    int nslots;
    slot_t *slots;
    int *fds;
} board_t;

struct mx_poke_t {
    const board_t *board;
    int mine;                        /* -1: no slot */
    apr_uint64_t held;               /* bits not yet sent */
    apr_int64_t sent;                /* when, microseconds */
    void (*on_delay)(void *baton);
    void *on_delay_baton;
    mx_poke_counts_t own_counts;     /* where there is no slot */
};

static board_t *board_of(server_rec *s)
{
    void *board = NULL;
    apr_pool_userdata_get(&board, USERDATA_KEY, s->process->pool);
    return board;
}

apr_status_t mx_poke_open(server_rec *s)
{
    apr_pool_t *pool = s->process->pool;
    board_t *board;
    apr_shm_t *shm;
    apr_status_t rv;
    int i, limit = 1;
    if (board_of(s))
        return APR_SUCCESS;
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &limit);
    board = apr_pcalloc(pool, sizeof(*board));
    board->nslots = limit + SPARE_SLOTS;
    rv = apr_shm_create(&shm, (apr_size_t)board->nslots * sizeof(slot_t), NULL, pool);
    if (rv)
        return rv;
    board->slots = apr_shm_baseaddr_get(shm);
    memset(board->slots, 0, (apr_size_t)board->nslots * sizeof(slot_t));
    board->fds = apr_palloc(pool, (apr_size_t)board->nslots * sizeof(int));
    for (i = 0; i < board->nslots; i++) {
        board->fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (board->fds[i] < 0)
            return errno;
    }
    return apr_pool_userdata_setn(board, USERDATA_KEY, NULL, pool);
}

/** Free, or left behind by a child that was killed. */
static int slot_take(slot_t *slot, apr_uint32_t self)
{
    apr_uint32_t pid = apr_atomic_read32(&slot->pid);
    if (pid && (kill((pid_t)pid, 0) == 0 || errno != ESRCH))
        return 0;
    return apr_atomic_cas32(&slot->pid, self, pid) == pid;
}

mx_poke_t *mx_poke_attach(server_rec *s, apr_pool_t *pool)
{
    mx_poke_t *poke = apr_pcalloc(pool, sizeof(*poke));
    const board_t *board = board_of(s);
    int i;
    poke->board = board;
    poke->mine = -1;
    for (i = 0; board && i < board->nslots && poke->mine < 0; i++) {
        if (slot_take(&board->slots[i], (apr_uint32_t)getpid())) {
            memset(&board->slots[i].counts, 0, sizeof(mx_poke_counts_t));
            poke->mine = i;
        }
    }
    return poke;
}

void mx_poke_detach(mx_poke_t *poke)
{
    if (poke->mine >= 0)
        apr_atomic_set32(&poke->board->slots[poke->mine].pid, 0);
    poke->mine = -1;
}

static void send_now(mx_poke_t *poke)
{
    apr_uint64_t bits = __atomic_exchange_n(&poke->held, 0, __ATOMIC_SEQ_CST), one = 1;
    int i;
    for (i = 0; bits && i < poke->board->nslots; i++) {
        slot_t *slot = &poke->board->slots[i];
        if (i == poke->mine || !apr_atomic_read32(&slot->pid))
            continue;
        __atomic_fetch_or(&slot->bits, bits, __ATOMIC_SEQ_CST);
        if (write(poke->board->fds[i], &one, sizeof(one)) < 0)
            continue;                /* its counter is full: it has been told often enough */
    }
}

/** 1 if the gap since the last sending is over, and the caller is the one who sends. */
static int may_send(mx_poke_t *poke, apr_time_t now)
{
    apr_int64_t sent = __atomic_load_n(&poke->sent, __ATOMIC_SEQ_CST);
    if (now - sent < SEND_GAP_US && now >= sent)
        return 0;
    return __atomic_compare_exchange_n(&poke->sent, &sent, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static int is_alone(const mx_poke_t *poke)
{
    int i;
    for (i = 0; i < poke->board->nslots; i++) {
        if (i != poke->mine && apr_atomic_read32(&poke->board->slots[i].pid))
            return 0;
    }
    return 1;
}

void mx_poke_send(mx_poke_t *poke, apr_uint64_t server_bit)
{
    apr_uint64_t before;
    if (poke->mine < 0 || is_alone(poke))
        return;
    before = __atomic_fetch_or(&poke->held, server_bit, __ATOMIC_SEQ_CST);
    if (may_send(poke, apr_time_now()))
        send_now(poke);
    else if (!before && poke->on_delay)
        poke->on_delay(poke->on_delay_baton);
}

apr_uint64_t mx_poke_bit(const char *server_name)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;
    return APR_UINT64_C(1) << (apr_hashfunc_default(server_name, &len) % 64);
}

int mx_poke_fd(const mx_poke_t *poke)
{
    return poke->mine >= 0 ? poke->board->fds[poke->mine] : -1;
}

apr_interval_time_t mx_poke_flush(mx_poke_t *poke)
{
    apr_time_t now = apr_time_now();
    if (poke->mine < 0 || !__atomic_load_n(&poke->held, __ATOMIC_SEQ_CST))
        return -1;
    if (!may_send(poke, now))
        return SEND_GAP_US;
    send_now(poke);
    return -1;
}

apr_uint64_t mx_poke_received(mx_poke_t *poke)
{
    apr_uint64_t count;
    ssize_t n = read(mx_poke_fd(poke), &count, sizeof(count));
    (void)n;
    return __atomic_exchange_n(&poke->board->slots[poke->mine].bits, 0, __ATOMIC_SEQ_CST);
}

void mx_poke_on_delay(mx_poke_t *poke, void (*fn)(void *baton), void *baton)
{
    poke->on_delay = fn;
    poke->on_delay_baton = baton;
}

mx_poke_counts_t *mx_poke_counts(mx_poke_t *poke)
{
    return poke->mine >= 0 ? &poke->board->slots[poke->mine].counts : &poke->own_counts;
}

int mx_poke_sum(mx_poke_counts_t *out, mx_poke_t *poke)
{
    int i, children = 0;
    memset(out, 0, sizeof(*out));
    for (i = 0; poke->board && i < poke->board->nslots; i++) {
        slot_t *slot = &poke->board->slots[i];
        if (!apr_atomic_read32(&slot->pid))
            continue;
        children++;
        out->parked += apr_atomic_read32(&slot->counts.parked);
        out->blocked += apr_atomic_read32(&slot->counts.blocked);
        out->woken += apr_atomic_read32(&slot->counts.woken);
        out->bounded += apr_atomic_read32(&slot->counts.bounded);
    }
    return children;
}
