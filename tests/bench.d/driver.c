/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load driver: one thread, epoll, keep-alive, logarithmic buckets. A driver in a scripting language would cost more
 * than the server it measures.
 *
 *   driver load   HOST PORT FILE CONNECTIONS SECONDS   closed loop: each connection sends its next line when answered
 *   driver open   HOST PORT FILE CONNECTIONS SECONDS RATE   open loop: a line is due every 1/RATE s, and its latency counts
 *                                                      from then, also if all connections are still busy
 *   driver fanout HOST PORT FILE 1                     polls of FILE wait; line 1 is the request that wakes them all
 *   driver burst  HOST PORT FILE 1                     every line at once, each on its own connection; how long to the last
 *   driver live   HOST PORT FILE POLLS SECONDS RATE    the first POLLS lines are polls, each of which goes on from its answer; of the
 *                                                      others one is due every 1/RATE s. A body with "mark%n" is a message: how long
 *                                                      after its acknowledgement did each poll that tells of it arrive? Polls have
 *                                                      no `since`: the first answers, before anything is sent, say where to begin
 *   driver hold   HOST PORT FILE SECONDS               polls of FILE wait; prints "held N" when all do, then keeps still
 *
 * PORT may be several, "A,B": connections take them in turns; with fanout the first is only for line 1.
 *
 * FILE holds one request a line: METHOD SP TARGET SP TOKEN|- SP BODY|-; "%n" in target and body is a number never used
 * before. Connection i takes lines i, i+CONNECTIONS, …  The result is one JSON object on stdout.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINES 200000
#define BUCKETS 4096
#define IN_BYTES 16384
#define STALL_MS 60000
#define MAX_PORTS 8
#define MAX_MARKS 1000000
#define MARK "mark"
#define ACTORS 64              /* connections for what is no poll */

typedef struct line_t {
    char *method, *target, *token, *body;
} line_t;

typedef enum { IDLE, HEADER, BODY, CHUNKS } read_state_e;

typedef struct conn_t {
    int fd;
    read_state_e state;
    int status;
    long left;                 /* of the body */
    int tail;                  /* last bytes seen of a chunked body, to find its end */
    char head[4096];
    size_t nhead;
    double sent_us;
    size_t next_line;
    int waiting;
    int keep;                  /* the body is wanted */
    char *text;                /* … and stands here */
    size_t ntext, captext;
    char since[64];            /* live: where the poll goes on */
    unsigned long serial;      /* "%n" of what it sent last */
    const line_t *again;       /* live: sent anew if the server had closed the connection before it came */
} conn_t;

static line_t lines[MAX_LINES];
static size_t nlines;
static conn_t *conns;
static int nconns, ep;
static struct sockaddr_in addrs[MAX_PORTS];
static int naddrs, waker_apart;
static unsigned long serial;
static unsigned long bucket[BUCKETS];
static unsigned long nok, nfail, nstatus[6];
static double max_us;
static char first_failure[256];
static double *acked_us;       /* live: by serial */
static unsigned char *is_message;
static unsigned long nmessages, ntold, nearly_told, nreopened;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void die(const char *what)
{
    fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* 64 buckets a power of two: 1.1 % wide */
static int bucket_of(double us)
{
    unsigned long v = us < 1 ? 1 : (unsigned long)us;
    int e = 63 - __builtin_clzl(v);
    unsigned long frac = e >= 6 ? (v >> (e - 6)) & 63 : (v << (6 - e)) & 63;
    int b = e * 64 + (int)frac;
    return b < BUCKETS ? b : BUCKETS - 1;
}

static double percentile(double p)
{
    unsigned long want = (unsigned long)(p * nok), seen = 0;
    for (int b = 0; b < BUCKETS; b++) {
        seen += bucket[b];
        if (seen > want) return (double)((1UL << (b / 64)) * (64 + b % 64)) / 64;
    }
    return max_us;
}

static void read_lines(const char *file)
{
    FILE *f = fopen(file, "r");
    char *text = NULL;
    size_t cap = 0;
    if (!f) die(file);
    while (nlines < MAX_LINES && getline(&text, &cap, f) > 0) {
        char *save = NULL;
        line_t *l = &lines[nlines];
        text[strcspn(text, "\n")] = 0;
        l->method = strdup(strtok_r(text, " ", &save));
        l->target = strdup(strtok_r(NULL, " ", &save));
        l->token = strdup(strtok_r(NULL, " ", &save));
        l->body = strdup(save && *save ? save : "-");
        nlines++;
    }
    free(text);
    fclose(f);
    if (!nlines) { errno = ENODATA; die(file); }
}

static size_t expand(char *out, size_t cap, const char *in, unsigned long n)
{
    size_t len = 0;
    for (; *in && len + 24 < cap; in++) {
        if (in[0] == '%' && in[1] == 'n') { len += (size_t)snprintf(out + len, cap - len, "%lu", n); in++; }
        else out[len++] = *in;
    }
    out[len] = 0;
    return len;
}

static const struct sockaddr_in *addr_of(const conn_t *c)
{
    int i = (int)(c - conns);
    if (!waker_apart) return &addrs[i % naddrs];
    return &addrs[i ? 1 + (i - 1) % (naddrs - 1) : 0];
}

static void read_ports(const char *host, const char *ports)
{
    for (; *ports && naddrs < MAX_PORTS; ports += strcspn(ports, ","), ports += *ports == ',', naddrs++) {
        addrs[naddrs].sin_family = AF_INET;
        addrs[naddrs].sin_port = htons((unsigned short)atoi(ports));
        inet_pton(AF_INET, host, &addrs[naddrs].sin_addr);
    }
}

static void conn_open(conn_t *c)
{
    int one = 1;
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)addr_of(c), sizeof addrs[0])) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev)) die("epoll_ctl");
    c->state = IDLE;
}

static void conn_send(conn_t *c, const line_t *l)
{
    static char body[131072], target[8192], req[160000];
    unsigned long n = c->serial = ++serial;
    size_t nbody = strcmp(l->body, "-") ? expand(body, sizeof body, l->body, n) : 0, ntarget = expand(target, sizeof target, l->target, n);
    int len;
    if (*c->since) snprintf(target + ntarget, sizeof target - ntarget, "&since=%s", c->since);   /* a poll that goes on */
    c->ntext = 0;
    len = snprintf(req, sizeof req, "%s %s HTTP/1.1\r\nHost: bench\r\n", l->method, target);
    if (strcmp(l->token, "-")) len += snprintf(req + len, sizeof req - len, "Authorization: Bearer %s\r\n", l->token);
    if (nbody) len += snprintf(req + len, sizeof req - len, "Content-Type: application/json\r\nContent-Length: %zu\r\n", nbody);
    len += snprintf(req + len, sizeof req - len, "\r\n");
    memcpy(req + len, body, nbody);
    len += (int)nbody;
    c->state = HEADER;
    c->nhead = 0;
    c->sent_us = now_us();
    for (int off = 0; off < len;) {
        ssize_t k = write(c->fd, req + off, len - off);
        if (k < 0 && errno == EAGAIN) { usleep(100); continue; }
        if (k < 0) die("write");
        off += (int)k;
    }
}

static void keep_text(conn_t *c, const char *p, size_t len)
{
    if (!c->keep) return;
    if (c->ntext + len + 1 > c->captext) c->text = realloc(c->text, c->captext = (c->ntext + len) * 2 + 1024);
    memcpy(c->text + c->ntext, p, len);
    c->ntext += len;
    c->text[c->ntext] = 0;
}

/* Returns how many bytes of `p` it used; sets c->state to IDLE at the end of the answer. */
static size_t feed(conn_t *c, const char *p, size_t len)
{
    if (c->state == HEADER) {
        size_t k = len < sizeof c->head - 1 - c->nhead ? len : sizeof c->head - 1 - c->nhead;
        char *end, *cl;
        size_t before = c->nhead, used;
        memcpy(c->head + c->nhead, p, k);
        c->nhead += k;
        c->head[c->nhead] = 0;
        end = strstr(c->head, "\r\n\r\n");
        if (!end) { if (c->nhead == sizeof c->head - 1) { errno = E2BIG; die("answer's header"); } return k; }
        used = (size_t)(end + 4 - c->head) - before;
        c->status = atoi(c->head + 9);
        *end = 0;
        cl = strcasestr(c->head, "\r\nContent-Length:");
        if (cl) { c->left = atol(cl + 17); c->state = c->left ? BODY : IDLE; }
        else if (strcasestr(c->head, "chunked")) { c->state = CHUNKS; c->tail = 0; }
        else c->state = IDLE;
        return used;
    }
    if (c->state == BODY) {
        size_t k = len < (size_t)c->left ? len : (size_t)c->left;
        c->left -= (long)k;
        keep_text(c, p, k);
        if (!c->left) c->state = IDLE;
        return k;
    }
    /* chunked: ends with CRLF 0 CRLF CRLF; JSON text cannot hold a bare CR LF. What is kept has the chunks' sizes in it. */
    keep_text(c, p, len);
    for (size_t i = 0; i < len; i++) {
        static const char want[] = "\r\n0\r\n\r\n";
        c->tail = p[i] == want[c->tail] ? c->tail + 1 : p[i] == '\r';
        if (c->tail == 7) { c->state = IDLE; return i + 1; }
    }
    return len;
}

/* Reads what is there. 1: the answer is complete. */
static int conn_read(conn_t *c)
{
    static char in[IN_BYTES];
    ssize_t k = read(c->fd, in, sizeof in);
    size_t off = 0;
    if (k < 0 && errno == EAGAIN) return 0;
    if (k <= 0 && c->again && c->state == HEADER && !c->nhead) {
        unsigned long latest = serial;
        close(c->fd);
        conn_open(c);
        nreopened++;
        serial = c->serial - 1;
        conn_send(c, c->again);
        serial = latest;
        return 0;
    }
    if (k <= 0) {
        snprintf(first_failure, sizeof first_failure, "connection closed after status %d", c->status);
        nfail++;
        close(c->fd);
        conn_open(c);
        return 1;
    }
    while (off < (size_t)k && c->state != IDLE) off += feed(c, in + off, (size_t)k - off);
    return c->state == IDLE;
}

static void account(conn_t *c, double at)
{
    double us = at - c->sent_us;
    if (c->status >= 100 && c->status < 600) nstatus[c->status / 100]++;
    if (c->status / 100 != 2) {
        if (!nfail++) snprintf(first_failure, sizeof first_failure, "status %d", c->status);
        return;
    }
    bucket[bucket_of(us)]++;
    nok++;
    if (us > max_us) max_us = us;
}

static void report(const char *mode, double seconds)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    printf("{\"mode\":\"%s\",\"seconds\":%.3f,\"ok\":%lu,\"failed\":%lu,\"rate\":%.1f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"driver_cpu_s\":%.3f,\"failure\":\"%s\"}\n",
           mode, seconds, nok, nfail, nok / seconds, percentile(.5) / 1e3, percentile(.9) / 1e3, percentile(.99) / 1e3, max_us / 1e3,
           ru.ru_utime.tv_sec + ru.ru_utime.tv_usec / 1e6 + ru.ru_stime.tv_sec + ru.ru_stime.tv_usec / 1e6, first_failure);
}

static void open_all(int n)
{
    nconns = n;
    conns = calloc((size_t)n, sizeof *conns);
    for (int i = 0; i < n; i++) { conn_open(&conns[i]); conns[i].next_line = (size_t)i; }
}

static void run_load(double seconds)
{
    double start = now_us(), end = start + seconds * 1e6;
    struct epoll_event ev[256];
    int busy = nconns;
    for (int i = 0; i < nconns; i++) conn_send(&conns[i], &lines[conns[i].next_line % nlines]);
    while (busy > 0) {
        int n = epoll_wait(ep, ev, 256, STALL_MS);
        double at = now_us();
        if (n <= 0) { snprintf(first_failure, sizeof first_failure, "stalled"); nfail += (unsigned long)busy; break; }
        for (int i = 0; i < n; i++) {
            conn_t *c = ev[i].data.ptr;
            if (!conn_read(c)) continue;
            account(c, at);
            c->next_line += (size_t)nconns;
            if (at < end) conn_send(c, &lines[c->next_line % nlines]); else busy--;
        }
    }
    report("load", (now_us() - start) / 1e6);
}

/* Sends what is due on connections that are free; `due` lines were due so far, `*sent` of them are sent. */
static void send_due(unsigned long due, unsigned long *sent, double start, double rate)
{
    for (int i = 0; i < nconns && *sent < due; i++) {
        if (conns[i].state != IDLE) continue;
        conn_send(&conns[i], &lines[*sent % nlines]);
        conns[i].sent_us = start + (double)*sent * 1e6 / rate;
        ++*sent;
    }
}

static void run_open(double seconds, double rate)
{
    double start = now_us();
    struct epoll_event ev[256];
    unsigned long want = (unsigned long)(seconds * rate), sent = 0, answered = 0;

    while (answered < want) {
        double at = now_us(), next_us;
        unsigned long due = (unsigned long)((at - start) / 1e6 * rate) + 1;
        struct timespec pause;
        int n;
        send_due(due < want ? due : want, &sent, start, rate);
        next_us = due < want ? start + (double)due * 1e6 / rate - at : STALL_MS * 1e3;
        pause = (struct timespec){ .tv_sec = (time_t)(next_us / 1e6), .tv_nsec = (long)(next_us * 1e3) % 1000000000L };
        n = epoll_pwait2(ep, ev, 256, &pause, NULL);
        at = now_us();
        if (n <= 0 && due >= want) { snprintf(first_failure, sizeof first_failure, "stalled"); nfail += want - answered; break; }
        for (int i = 0; i < n; i++) {
            conn_t *c = ev[i].data.ptr;
            if (!conn_read(c)) continue;
            account(c, at);
            answered++;
        }
    }
    report("open", (now_us() - start) / 1e6);
}

/* Answers until `want` of the polls have come back; returns when the last did. */
static double collect(int want, double timeout_ms)
{
    struct epoll_event ev[256];
    double last = now_us(), limit = last + timeout_ms * 1e3;
    while (want > 0 && now_us() < limit) {
        int n = epoll_wait(ep, ev, 256, 100);
        double at = now_us();
        for (int i = 0; i < n; i++) {
            conn_t *c = ev[i].data.ptr;
            if (c->state == IDLE || !conn_read(c)) continue;
            account(c, at);
            c->waiting = 0;
            want--;
            last = at;
        }
    }
    if (want) { nfail += (unsigned long)want; snprintf(first_failure, sizeof first_failure, "%d polls not answered", want); }
    return last;
}

static void report_last(const char *mode, int polls, double start, double last)
{
    printf("{\"mode\":\"%s\",\"polls\":%d,\"last_ms\":%.3f,\"ok\":%lu,\"failed\":%lu,\"failure\":\"%s\"}\n", mode, polls,
           (last - start) / 1e3, nok, nfail, first_failure);
}

static void run_burst(void)
{
    double start;
    open_all((int)nlines);
    start = now_us();
    for (int i = 0; i < nconns; i++) conn_send(&conns[i], &lines[i]);
    report_last("burst", nconns, start, collect(nconns, 60000));
}

/* Line 0 wakes, the others poll. */
static void run_fanout(void)
{
    double start, last;
    int polls = (int)nlines - 1;
    struct epoll_event early[256];
    int nearly;
    open_all(polls + 1);
    for (int i = 1; i <= polls; i++) { conn_send(&conns[i], &lines[i]); conns[i].waiting = 1; }
    usleep(1000 * 1000 + polls * 500);
    nearly = epoll_wait(ep, early, 256, 0);
    if (nearly > 0) { snprintf(first_failure, sizeof first_failure, "%d polls or more did not wait", nearly); nfail++; }
    start = now_us();
    conn_send(&conns[0], &lines[0]);
    last = collect(polls + 1, 30000);
    report_last("fanout", polls, start, last);
}

/* ---- live ---- */

static void add_delay(double us)
{
    bucket[bucket_of(us)]++;
    nok++;
    if (us > max_us) max_us = us;
}

/* What a poll was told, and where it goes on. */
static int take_news(conn_t *c, double at)
{
    const char *p = strstr(c->text, "\"next_batch\":\"");
    size_t len;
    if (c->status != 200 || !p) return 0;
    p += strlen("\"next_batch\":\"");
    len = strcspn(p, "\"");
    if (len >= sizeof c->since) return 0;
    memcpy(c->since, p, len);
    c->since[len] = 0;
    for (p = c->text; (p = strstr(p, MARK)); p += strlen(MARK)) {
        unsigned long n = strtoul(p + strlen(MARK), NULL, 10);
        if (n >= MAX_MARKS || !is_message[n]) continue;
        ntold++;
        if (!acked_us[n]) nearly_told++;
        add_delay(acked_us[n] ? at - acked_us[n] : 0);
    }
    return 1;
}

/* Sends what is due on the actors that are free. */
static void act(int npolls, unsigned long due, unsigned long *sent)
{
    for (int i = npolls; i < nconns && *sent < due; i++) {
        const line_t *l = &lines[npolls + (int)(*sent % (nlines - (size_t)npolls))];
        if (conns[i].state != IDLE) continue;
        if (serial + 1 < MAX_MARKS && strstr(l->body, MARK)) { is_message[serial + 1] = 1; nmessages++; }
        conns[i].again = l;
        conn_send(&conns[i], l);
        ++*sent;
    }
}

static void live_answer(conn_t *c, int npolls, double at)
{
    int i = (int)(c - conns);
    if (i >= npolls) {
        if (c->status / 100 == 2) acked_us[c->serial] = at;
        else if (!nfail++) snprintf(first_failure, sizeof first_failure, "an action: status %d", c->status);
    } else if (take_news(c, at)) conn_send(c, &lines[i]);
    else if (!nfail++) snprintf(first_failure, sizeof first_failure, "a poll: status %d", c->status);
}

static void run_live(int npolls, double seconds, double rate)
{
    struct epoll_event ev[256];
    unsigned long sent = 0, polls = 0;
    double start, end;
    int ready = 0;
    acked_us = calloc(MAX_MARKS, sizeof *acked_us);
    is_message = calloc(MAX_MARKS, 1);
    open_all(npolls + ACTORS);
    for (int i = 0; i < npolls; i++) { conns[i].keep = 1; conns[i].again = &lines[i]; conn_send(&conns[i], &lines[i]); }
    while (ready < npolls) {
        int n = epoll_wait(ep, ev, 256, STALL_MS);
        if (n <= 0) die("the first answers");
        for (int i = 0; i < n; i++)
            if (conn_read(ev[i].data.ptr)) { live_answer(ev[i].data.ptr, npolls, now_us()); ready++; }
    }
    usleep(500 * 1000);
    start = now_us();
    end = start + seconds * 1e6;
    while (now_us() < end + 3e6) {               /* what is on its way at the end may arrive */
        double at = now_us();
        int n;
        if (at < end) act(npolls, (unsigned long)((at - start) / 1e6 * rate) + 1, &sent);
        n = epoll_wait(ep, ev, 256, 2);
        at = now_us();
        for (int i = 0; i < n; i++) {
            conn_t *c = ev[i].data.ptr;
            if (!conn_read(c)) continue;
            polls += c - conns < npolls;
            live_answer(c, npolls, at);
        }
    }
    printf("{\"mode\":\"live\",\"polls\":%d,\"actions\":%lu,\"messages\":%lu,\"told\":%lu,\"before_ack\":%lu,"
           "\"answers\":%lu,\"reopened\":%lu,\"ok\":%lu,\"failed\":%lu,"
           "\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"failure\":\"%s\"}\n",
           npolls, sent, nmessages, ntold, nearly_told, polls, nreopened, polls, nfail, percentile(.5) / 1e3, percentile(.9) / 1e3,
           percentile(.99) / 1e3, max_us / 1e3, first_failure);
}

static void run_hold(double seconds)
{
    open_all((int)nlines);
    for (int i = 0; i < nconns; i++) { conn_send(&conns[i], &lines[i]); if (i % 64 == 63) usleep(5000); }
    usleep(2000 * 1000);
    printf("held %d\n", nconns);
    fflush(stdout);
    usleep((useconds_t)(seconds * 1e6));
}

int main(int argc, char **argv)
{
    if (argc < 6) { fputs("usage: driver load|open|fanout|burst|live|hold HOST PORT FILE …\n", stderr); return 2; }
    signal(SIGPIPE, SIG_IGN);
    read_ports(argv[2], argv[3]);
    waker_apart = !strcmp(argv[1], "fanout") && naddrs > 1;
    ep = epoll_create1(0);
    read_lines(argv[4]);
    if (!strcmp(argv[1], "load") && argc > 6) { open_all(atoi(argv[5])); run_load(atof(argv[6])); }
    else if (!strcmp(argv[1], "open") && argc > 7) { open_all(atoi(argv[5])); run_open(atof(argv[6]), atof(argv[7])); }
    else if (!strcmp(argv[1], "live") && argc > 7) run_live(atoi(argv[5]), atof(argv[6]), atof(argv[7]));
    else if (!strcmp(argv[1], "fanout")) run_fanout();
    else if (!strcmp(argv[1], "burst")) run_burst();
    else if (!strcmp(argv[1], "hold")) run_hold(atof(argv[5]));
    else return 2;
    return nfail ? 1 : 0;
}
