/* SPDX-License-Identifier: Apache-2.0 */
/* Globs of push rules and server ACLs. */
#include "unit.h"

#include "base/glob.h"

static int matches(const char *pattern, const char *text, int flags)
{
    const mx_glob_t *glob = NULL;
    ck_assert_int_eq(mx_glob_compile(&glob, mx_slice_str(pattern), flags, pool), APR_SUCCESS);
    return mx_glob_matches(glob, mx_slice_str(text));
}

typedef struct case_t {
    const char *pattern, *text;
    int matches;
} case_t;

static void check_all(const case_t *cases, int n, int flags)
{
    int i;
    for (i = 0; i < n; i++)
        ck_assert_msg(matches(cases[i].pattern, cases[i].text, flags) == cases[i].matches, "%s on %s", cases[i].pattern, cases[i].text);
}

/* CS-API: event_match, its first box, and what follows from it. */
START_TEST(a_pattern_matches_the_whole_value)
{
    static const case_t cases[] = {
        { "lunc?*", "Lunch plans", 1 }, { "lunc?*", "LUNCH", 1 }, { "lunc?*", " lunch", 0 }, { "lunc?*", "lunc", 0 },
        { "", "", 1 }, { "", "a", 0 }, { "*", "", 1 }, { "*", "any\nthing", 1 }, { "?", "", 0 }, { "?", "ab", 0 },
        { "a*b*c", "abc", 1 }, { "a*b*c", "a-b-bc-c", 1 }, { "a*b*c", "acb", 0 }, { "**a**", "xax", 1 }, { "a", "ab", 0 },
        { "*a", "ba", 1 }, { "*aab", "aaab", 1 }, { "*a?c", "abcaxc", 1 }, { "[a-z]\\*", "[a-z]\\x", 1 }, { "m.room.*", "m_room.x", 0 },
        { "\xc3\xa4?", "\xc3\xa4\xe2\x98\x83", 1 }, { "?", "\xf0\x9f\x98\x80", 1 }, { "??", "\xc3\xa4", 0 },
        { "\xc3\xa4", "\xc3\xb6", 0 }, { "?\xff", "\x80\xff", 1 }, { "\xc3\x84", "\xc3\xa4", 0 },
    };
    check_all(cases, UNIT_COUNT(cases), MX_GLOB_NOCASE);
}
END_TEST

START_TEST(case_matters_unless_told_otherwise)
{
    ck_assert_int_eq(matches("a?C*", "abCd", 0), 1);
    ck_assert_int_eq(matches("a?C*", "abcd", 0), 0);
    ck_assert_int_eq(matches("a?C*", "ABcD", MX_GLOB_NOCASE), 1);
    ck_assert_int_eq(matches("[", "{", MX_GLOB_NOCASE), 0);
    ck_assert_int_eq(matches("@", "`", MX_GLOB_NOCASE), 0);
}
END_TEST

/* CS-API: event_match on content.body, its second box, and what follows from it. */
START_TEST(words_are_found_inside_a_text_and_parts_of_words_are_not)
{
    static const case_t cases[] = {
        { "ex*ple", "An example event.", 1 }, { "ex*ple", "exple", 1 }, { "ex*ple", "An exciting triple-whammy", 1 },
        { "beer", "Beer!", 1 }, { "beer", "beers", 0 }, { "beer", "rootbeer", 0 }, { "beer", "root_beer", 0 }, { "beer", "root-beer", 1 },
        { "beer", "beers and beer", 1 }, { "beer", "9beer", 0 }, { "@room", "hello @room", 1 }, { "@room", "x@room!", 1 },
        { "a b", "xa b", 0 }, { "a b", "a a b", 1 }, { "b?r", "bar-b\xc3\xa4r", 1 }, { "r", "b\xc3\xa4r", 1 }, { "*", "", 1 },
        { "foo*", "xfoo foo", 1 }, { "*foo", "xfoo", 1 }, { "foo*bar", "foo and xbar", 1 }, { "foo?bar", "foo xbar", 0 },
        { "\xc3\xa4", "x\xc3\xa4y", 1 },
    };
    check_all(cases, UNIT_COUNT(cases), MX_GLOB_NOCASE | MX_GLOB_WORDS);
}
END_TEST

START_TEST(a_pattern_may_be_long_but_not_endless)
{
    const mx_glob_t *glob = NULL;
    char *pattern = apr_palloc(pool, MX_GLOB_CHARS_MAX + 2);
    int stars;
    memset(pattern, 'a', MX_GLOB_CHARS_MAX + 1);
    ck_assert_int_eq(mx_glob_compile(&glob, mx_slice(pattern, MX_GLOB_CHARS_MAX + 1), 0, pool), APR_EINVAL);
    ck_assert_ptr_null(glob);
    ck_assert_int_eq(mx_glob_compile(&glob, mx_slice(pattern, MX_GLOB_CHARS_MAX), 0, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_glob_matches(glob, mx_slice(pattern, MX_GLOB_CHARS_MAX)), 1);
    ck_assert_int_eq(mx_glob_matches(glob, mx_slice(pattern, MX_GLOB_CHARS_MAX + 1)), 0);
    ck_assert_int_eq(mx_glob_matches(glob, mx_slice(pattern, MX_GLOB_CHARS_MAX - 1)), 0);
    for (stars = 60; stars < 70; stars++) {         /* around the border of a word of bits */
        pattern = apr_pstrcat(pool, apr_pstrmemdup(pool, pattern, (apr_size_t)stars), "*b", NULL);
        ck_assert_int_eq(matches(pattern, apr_pstrcat(pool, pattern, "xyb", NULL), 0), 1);
        memset(pattern, 'a', (size_t)stars);
    }
}
END_TEST

/* What makes a matcher that goes back and forth take ages. */
START_TEST(many_stars_on_a_long_text_take_no_time)
{
    apr_size_t len = 65536;
    char *text = apr_palloc(pool, len + 1);
    apr_time_t start = apr_time_now();
    const char *pattern = "";
    int i;
    memset(text, 'a', len);
    text[len] = '\0';
    for (i = 0; i < 200; i++)
        pattern = apr_pstrcat(pool, pattern, "a*a?", NULL);
    pattern = apr_pstrcat(pool, pattern, "b", NULL);
    ck_assert_int_eq(matches(pattern, text, MX_GLOB_NOCASE), 0);
    ck_assert_int_eq(matches(pattern, text, MX_GLOB_NOCASE | MX_GLOB_WORDS), 0);
    ck_assert_msg(apr_time_now() - start < apr_time_from_sec(5), "%" APR_TIME_T_FMT " us", apr_time_now() - start);
}
END_TEST

UNIT_MAIN("glob", a_pattern_matches_the_whole_value, case_matters_unless_told_otherwise,
          words_are_found_inside_a_text_and_parts_of_words_are_not, a_pattern_may_be_long_but_not_endless,
          many_stars_on_a_long_text_take_no_time)
