/* SPDX-License-Identifier: Apache-2.0 */
/* Strings, buffers, base64, hashes, signatures, passwords, log. */
#include "unit.h"

#include "base/base64.h"
#include "base/buf.h"
#include "base/log.h"

#include <stdint.h>

START_TEST(utf8_check_knows_good_from_bad)
{
    static const struct {
        const char *text;
        int good;
    } cases[] = {
        { "", 1 },
        { "plain ascii, longer than a word", 1 },
        { "\xC3\xA9", 1 },
        { "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 1 },
        { "\xF0\x9F\x98\x80", 1 },
        { "\xF4\x8F\xBF\xBF", 1 },
        { "\xF4\x90\x80\x80", 0 },           /* beyond U+10FFFF */
        { "\xED\x9F\xBF", 1 },
        { "\xED\xA0\x80", 0 },               /* surrogate */
        { "\xC0\x80", 0 },                   /* overlong */
        { "\xC1\xBF", 0 },
        { "\xE0\x9F\xBF", 0 },
        { "\xF0\x8F\xBF\xBF", 0 },
        { "\x80", 0 },
        { "abcdefgh\xFF", 0 },
        { "abcdefg\xC3", 0 },                /* cut off */
        { "\xE6\x97", 0 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++)
        ck_assert_msg(mx_str_is_utf8(cases[i].text, strlen(cases[i].text)) == cases[i].good, "case %d", i);
}
END_TEST

START_TEST(decimal_reader_is_strict)
{
    static const struct {
        const char *text;
        apr_int64_t value;
        int good;
    } cases[] = {
        { "0", 0, 1 },
        { "-0", 0, 1 },
        { "007", 7, 1 },
        { "9223372036854775807", INT64_MAX, 1 },
        { "-9223372036854775808", INT64_MIN, 1 },
        { "9223372036854775808", 0, 0 },
        { "-9223372036854775809", 0, 0 },
        { "", 0, 0 },
        { "-", 0, 0 },
        { "+1", 0, 0 },
        { " 1", 0, 0 },
        { "1 ", 0, 0 },
        { "1.0", 0, 0 },
        { NULL, 0, 0 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        apr_int64_t out = 42;
        apr_status_t rv = mx_str_to_int64(&out, cases[i].text, INT64_MIN, INT64_MAX);
        ck_assert_msg((rv == APR_SUCCESS) == cases[i].good, "case %d", i);
        ck_assert_int_eq(out, cases[i].good ? cases[i].value : 42);
    }
}
END_TEST

START_TEST(decimal_reader_keeps_its_bounds)
{
    apr_int64_t out = 42;
    ck_assert_int_eq(mx_str_to_int64(&out, "11", 0, 10), APR_EINVAL);
    ck_assert_int_eq(mx_str_to_int64(&out, "-1", 0, 10), APR_EINVAL);
    ck_assert_int_eq(out, 42);
    ck_assert_int_eq(mx_str_to_int64(&out, "10", 0, 10), APR_SUCCESS);
    ck_assert_int_eq(out, 10);
}
END_TEST

START_TEST(buffer_grows_without_losing_bytes)
{
    mx_buf_t *b = mx_buf_create(pool);
    int i;
    ck_assert_ptr_null(mx_buf_slice(b).p);
    for (i = 0; i < 10000; i++)
        mx_buf_append(b, "0123456789", 10);
    ck_assert_uint_eq(b->len, 100000);
    for (i = 0; i < 100000; i++)
        ck_assert_int_eq(b->p[i], '0' + i % 10);
    mx_buf_clear(b);
    ck_assert_uint_eq(mx_buf_slice(b).len, 0);
    ck_assert_uint_ge(b->cap, 100000);
}
END_TEST

/* Appendices: unpadded base64. */
START_TEST(spec_base64_examples_hold)
{
    static const struct {
        const char *plain, *encoded;
    } cases[] = {
        { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy" },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        unsigned char *out;
        apr_size_t len;
        ck_assert_str_eq(mx_base64_encode(MX_BASE64_STD, cases[i].plain, strlen(cases[i].plain), pool), cases[i].encoded);
        ck_assert_int_eq(mx_base64_decode(&out, &len, MX_BASE64_STD, mx_slice_str(cases[i].encoded), pool), APR_SUCCESS);
        ck_assert_uint_eq(len, strlen(cases[i].plain));
        ck_assert_mem_eq(out, cases[i].plain, len);
    }
}
END_TEST

START_TEST(base64_alphabets_are_kept_apart)
{
    static const unsigned char bytes[] = { 0xFB, 0xFF, 0xFE };
    unsigned char *out;
    apr_size_t len;
    ck_assert_str_eq(mx_base64_encode(MX_BASE64_STD, bytes, 3, pool), "+//+");
    ck_assert_str_eq(mx_base64_encode(MX_BASE64_URL, bytes, 3, pool), "-__-");
    ck_assert_int_eq(mx_base64_decode(&out, &len, MX_BASE64_STD, MX_SLICE_LIT("-__-"), pool), APR_EINVAL);
    ck_assert_int_eq(mx_base64_decode(&out, &len, MX_BASE64_URL, MX_SLICE_LIT("+//+"), pool), APR_EINVAL);
}
END_TEST

START_TEST(base64_takes_padding_or_none_and_nothing_else)
{
    static const struct {
        const char *text;
        int good;
    } cases[] = {
        { "Zg==", 1 }, { "Zg", 1 }, { "Zg=", 0 }, { "Zm8=", 1 }, { "Zm9v=", 0 }, { "Z", 0 }, { "Zm9vZ", 0 }, { "Z g=", 0 },
        { "Zg===", 0 }, { "=", 0 }, { "Zm9v\n", 0 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        unsigned char *out;
        apr_size_t len;
        apr_status_t rv = mx_base64_decode(&out, &len, MX_BASE64_STD, mx_slice_str(cases[i].text), pool);
        ck_assert_msg((rv == APR_SUCCESS) == cases[i].good, "%s", cases[i].text);
    }
}
END_TEST

START_TEST(sha256_of_slices_is_that_of_the_whole)
{
    unsigned char whole[MX_SHA256_BYTES], parts[MX_SHA256_BYTES];
    mx_slice_t slices[] = { MX_SLICE_LIT("ab"), MX_SLICE_NONE, MX_SLICE_LIT("c") };
    static const unsigned char abc[] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea };    /* FIPS 180-2 */
    mx_sha256(whole, "abc", 3);
    mx_sha256_slices(parts, slices, 3);
    ck_assert_mem_eq(whole, parts, sizeof(whole));
    ck_assert_mem_eq(whole, abc, sizeof(abc));
}
END_TEST

START_TEST(hmac_gives_the_published_values)
{
    unsigned char out[32];
    static const unsigned char sha256[] = { 0x5b, 0xdc, 0xc1, 0x46 };      /* RFC 4231, case 2 */
    static const unsigned char sha1[] = { 0xef, 0xfc, 0xdf, 0x6a };        /* RFC 2202, case 2 */
    mx_hmac_sha256(out, MX_SLICE_LIT("Jefe"), MX_SLICE_LIT("what do ya want for nothing?"));
    ck_assert_mem_eq(out, sha256, sizeof(sha256));
    mx_hmac_sha1(out, MX_SLICE_LIT("Jefe"), MX_SLICE_LIT("what do ya want for nothing?"));
    ck_assert_mem_eq(out, sha1, sizeof(sha1));
}
END_TEST

START_TEST(ed25519_refuses_a_changed_text_or_signature)
{
    unsigned char seed[MX_ED25519_SEED_BYTES], sig[MX_ED25519_SIGNATURE_BYTES];
    mx_ed25519_key_t key;
    mx_random_bytes(seed, sizeof(seed));
    mx_ed25519_from_seed(&key, seed);
    mx_ed25519_sign(sig, &key, "text", 4);
    ck_assert_int_eq(mx_ed25519_verify(sig, key.public, "text", 4), 1);
    ck_assert_int_eq(mx_ed25519_verify(sig, key.public, "texT", 4), 0);
    sig[5] ^= 1;
    ck_assert_int_eq(mx_ed25519_verify(sig, key.public, "text", 4), 0);
}
END_TEST

START_TEST(random_strings_use_the_whole_alphabet_and_differ)
{
    char *a = mx_random_string("abc", 1000, pool), *b = mx_random_string("abc", 1000, pool);
    ck_assert_uint_eq(strlen(a), 1000);
    ck_assert_uint_eq(strspn(a, "abc"), 1000);
    ck_assert(strchr(a, 'a') && strchr(a, 'b') && strchr(a, 'c'));
    ck_assert_str_ne(a, b);
}
END_TEST

START_TEST(password_hash_fits_its_password_alone)
{
    char *hash;
    ck_assert_int_eq(mx_password_hash(&hash, "correct horse", 1, pool), APR_SUCCESS);
    ck_assert_int_eq(strncmp(hash, "$y$", 3), 0);
    ck_assert_int_eq(mx_password_verify("correct horse", hash), 1);
    ck_assert_int_eq(mx_password_verify("correct horsf", hash), 0);
    ck_assert_int_eq(mx_password_verify("correct horse", ""), 0);
    ck_assert_int_eq(mx_password_verify("correct horse", "*0"), 0);
    ck_assert_int_eq(mx_password_hash(&hash, "x", 99, pool), APR_EINVAL);
}
END_TEST

START_TEST(passwords_have_a_longest_length)
{
    char longest[MX_PASSWORD_MAX_BYTES + 2], *hash;
    memset(longest, 'p', sizeof(longest));
    longest[MX_PASSWORD_MAX_BYTES + 1] = '\0';
    ck_assert_int_eq(mx_password_hash(&hash, longest, 1, pool), APR_EINVAL);
    longest[MX_PASSWORD_MAX_BYTES] = '\0';
    ck_assert_int_eq(mx_password_hash(&hash, longest, 1, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_password_verify(longest, hash), 1);
    longest[MX_PASSWORD_MAX_BYTES - 1] = '\0';
    ck_assert_int_eq(mx_password_verify(longest, hash), 0);
}
END_TEST

START_TEST(password_verify_reads_imported_bcrypt)
{
    /* crypt_blowfish's published test vector */
    ck_assert_int_eq(mx_password_verify("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), 1);
    ck_assert_int_eq(mx_password_verify("U*V", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), 0);
}
END_TEST

static char logged[200];

static void log_sink(const mx_log_ctx_t *ctx, mx_log_level_e level, apr_status_t rv, const char *file, int line,
                     const char *message)
{
    apr_snprintf(logged, sizeof(logged), "%d %s", level, message);
}

static int log_until_info(const mx_log_ctx_t *ctx, mx_log_level_e level)
{
    return level <= MX_LOG_INFO;
}

START_TEST(log_reaches_the_sink_only_where_enabled)
{
    mx_log_set_sink(log_sink, log_until_info);
    mx_log(NULL, MX_LOG_INFO, 0, "MX0000: %d", 7);
    ck_assert_str_eq(logged, "2 MX0000: 7");
    mx_log(NULL, MX_LOG_DEBUG, 0, "quiet");
    ck_assert_str_eq(logged, "2 MX0000: 7");
    mx_log_set_sink(NULL, NULL);
    ck_assert_int_eq(mx_log_is_enabled(NULL, MX_LOG_WARNING), 1);
    ck_assert_int_eq(mx_log_is_enabled(NULL, MX_LOG_INFO), 0);
}
END_TEST

UNIT_MAIN("base", utf8_check_knows_good_from_bad, decimal_reader_is_strict, decimal_reader_keeps_its_bounds,
          buffer_grows_without_losing_bytes, spec_base64_examples_hold, base64_alphabets_are_kept_apart,
          base64_takes_padding_or_none_and_nothing_else, sha256_of_slices_is_that_of_the_whole,
          hmac_gives_the_published_values, ed25519_refuses_a_changed_text_or_signature,
          random_strings_use_the_whole_alphabet_and_differ, password_hash_fits_its_password_alone,
          passwords_have_a_longest_length, password_verify_reads_imported_bcrypt,
          log_reaches_the_sink_only_where_enabled)
