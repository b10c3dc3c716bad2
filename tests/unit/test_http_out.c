/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing requests: which addresses and URLs they may go to, and what ends them. */
#include "unit.h"

#include "base/http_out.h"

#include <apr_network_io.h>
#include <apr_time.h>
#include <arpa/inet.h>
#include <netinet/in.h>

static int is_private(const char *text)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return mx_http_out_is_private((const struct sockaddr *)&v4);
    ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return mx_http_out_is_private((const struct sockaddr *)&v6);
}

/* RFC 6890 */
START_TEST(addresses_of_no_public_host_are_private)
{
    static const char *const hidden[] = { "127.0.0.1", "127.255.0.1", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
        "192.168.0.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "0.0.0.0", "192.0.0.8", "192.0.2.1", "198.18.0.1",
        "198.19.255.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1",
        "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::192.168.1.1", "2002:7f00:1::", "2001:db8::1",
        "2001::1", "fec0::1", "::127.0.0.1", "64:ff9b:1::1", "100::1" };
    static const char *const open[] = { "1.1.1.1", "9.255.255.255", "11.0.0.1", "172.15.255.255", "172.32.0.1", "100.63.255.255",
        "100.128.0.1", "169.253.0.1", "192.167.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.254", "2606:4700::1111", "2a00:1450::1",
        "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:4860::8888" };
    struct sockaddr other = { .sa_family = AF_UNIX };
    int i;
    for (i = 0; i < UNIT_COUNT(hidden); i++)
        ck_assert_msg(is_private(hidden[i]), "%s is taken for a public address", hidden[i]);
    for (i = 0; i < UNIT_COUNT(open); i++)
        ck_assert_msg(!is_private(open[i]), "%s is taken for a private address", open[i]);
    ck_assert(mx_http_out_is_private(&other));
}
END_TEST

START_TEST(a_url_is_http_or_https_with_a_host_and_without_user_or_fragment)
{
    static const char *const bad[] = { "", "x", "/path", "ftp://h/", "file:///etc/passwd", "https://", "http://u@h/", "http://u:p@h/",
        "https://h/#f", "https://h:99999/", "https://h:x/", "gopher://h/", "https://h /", "javascript:x", "https://[::1/" };
    const char *path, *host;
    int i, secure = 7;
    for (i = 0; i < UNIT_COUNT(bad); i++)
        ck_assert_msg(!mx_http_out_host(&secure, &path, bad[i], pool), "%s is taken for a URL", bad[i]);
    host = mx_http_out_host(&secure, &path, "https://Push.Example.ORG/a/b?c", pool);
    ck_assert_str_eq(host, "push.example.org:443");
    ck_assert_str_eq(path, "/a/b");
    ck_assert_int_eq(secure, 1);
    ck_assert_str_eq(mx_http_out_host(&secure, &path, "http://[::1]:8080/", pool), "[::1]:8080");
    ck_assert_int_eq(secure, 0);
}
END_TEST

typedef struct seen_t {
    int calls, status;
    char fault[200];
} seen_t;

static void done(void *baton, const mx_http_out_answer_t *answer)
{
    seen_t *seen = baton;
    seen->calls++;
    seen->status = answer->status;
    apr_cpystrn(seen->fault, answer->fault ? answer->fault : "", sizeof(seen->fault));
}

/** A listening socket that nobody accepts from, and its URL. */
static const char *silent_url(void)
{
    apr_socket_t *listener;
    apr_sockaddr_t *address;
    apr_sockaddr_info_get(&address, "127.0.0.1", APR_INET, 0, 0, pool);
    ck_assert_int_eq(apr_socket_create(&listener, APR_INET, SOCK_STREAM, 0, pool), APR_SUCCESS);
    ck_assert_int_eq(apr_socket_bind(listener, address), APR_SUCCESS);
    ck_assert_int_eq(apr_socket_listen(listener, 8), APR_SUCCESS);
    apr_socket_addr_get(&address, APR_LOCAL, listener);
    return apr_psprintf(pool, "http://127.0.0.1:%d/", (int)address->port);
}

static mx_http_out_t *out_create(int allow_private)
{
    mx_http_out_limits_t limits = { .max_open = 2, .timeout_ms = 300, .max_answer_bytes = 1000, .allow_private = allow_private,
                                    .user_agent = "test" };
    mx_http_out_t *out = NULL;
    ck_assert_int_eq(mx_http_out_create(&out, &limits, pool), APR_SUCCESS);
    return out;
}

static void run_out(mx_http_out_t *out)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(5);
    while (mx_http_out_count(out) && apr_time_now() < end)
        ck_assert_int_eq(mx_http_out_run(out, 20), APR_SUCCESS);
    ck_assert_int_eq(mx_http_out_count(out), 0);
}

START_TEST(a_request_ends_in_time_and_no_more_are_open_than_may_be)
{
    const char *url = silent_url();
    mx_http_out_t *out = out_create(1);
    seen_t seen = { 0 };
    apr_time_t began = apr_time_now();
    ck_assert_int_eq(mx_http_out_post(out, "ftp://127.0.0.1/", MX_SLICE_LIT("{}"), done, &seen), APR_EINVAL);
    ck_assert_int_eq(mx_http_out_post(out, url, MX_SLICE_LIT("{}"), done, &seen), APR_SUCCESS);
    ck_assert_int_eq(mx_http_out_post(out, url, MX_SLICE_LIT("{}"), done, &seen), APR_SUCCESS);
    ck_assert_int_eq(mx_http_out_post(out, url, MX_SLICE_LIT("{}"), done, &seen), APR_EAGAIN);
    run_out(out);
    ck_assert_int_lt(apr_time_now() - began, 2000000);
    ck_assert_int_eq(seen.calls, 2);
    ck_assert_int_eq(seen.status, 0);
    ck_assert_str_ne(seen.fault, "");
}
END_TEST

START_TEST(a_private_address_is_not_connected_to_by_whatever_name)
{
    const char *url = silent_url(), *names[] = { "127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]" };
    mx_http_out_t *out = out_create(0);
    int i;
    for (i = 0; i < UNIT_COUNT(names); i++) {
        seen_t seen = { 0 };
        const char *at = apr_psprintf(pool, "http://%s%s", names[i], strrchr(url, ':'));
        ck_assert_int_eq(mx_http_out_post(out, at, MX_SLICE_LIT("{}"), done, &seen), APR_SUCCESS);
        run_out(out);
        ck_assert_int_eq(seen.calls, 1);
        ck_assert_msg(strstr(seen.fault, "private network") != NULL, "%s: %s", names[i], seen.fault);
    }
}
END_TEST

START_TEST(what_is_open_at_the_end_is_dropped)
{
    const char *url = silent_url();
    seen_t seen = { 0 };
    mx_http_out_t *out;
    apr_pool_t *parent = pool;
    apr_pool_create(&pool, parent);
    out = out_create(1);
    ck_assert_int_eq(mx_http_out_post(out, url, MX_SLICE_LIT("{}"), done, &seen), APR_SUCCESS);
    mx_http_out_run(out, 20);
    apr_pool_destroy(pool);
    pool = parent;
    ck_assert_int_eq(seen.calls, 0);
}
END_TEST

UNIT_MAIN("http_out", addresses_of_no_public_host_are_private, a_url_is_http_or_https_with_a_host_and_without_user_or_fragment,
          a_request_ends_in_time_and_no_more_are_open_than_may_be, a_private_address_is_not_connected_to_by_whatever_name,
          what_is_open_at_the_end_is_dropped)
