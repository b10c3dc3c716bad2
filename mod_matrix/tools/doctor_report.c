/* SPDX-License-Identifier: Apache-2.0 */
/* What matrix-doctor found, in words and as JSON. Both say the same. */
#include "tools/doctor.h"

#define RESTORE "Restore the event's row from a backup, or ask another server of the room for the event: it is never changed here."
#define RULES "If the event was accepted by mistake nothing here takes it back: moderators can redact it, or upgrade the room."
#define STATE "A stored state is never changed here: restore the room from a backup, or upgrade it to a new room; the events are kept."
#define HEADS "The next event names the heads as stored. If they lead away from the true ones, restore the room's row from a backup."
#define REBUILD "Run matrix-doctor with --repair: it rebuilds this from the room's current state, while servers run."

static const struct {
    const char *code;
    int repairs;
    const char *advice;
} checks[] = {
#define X(name, code, repairs, advice) { code, repairs, advice },
    MX_DOCTOR_CHECKS(X)
#undef X
};

static const struct {
    const char *code, *words;
} unchecked[] = {
#define X(name, code, words) { code, words },
    MX_DOCTOR_UNCHECKED(X)
#undef X
};

mx_doctor_report_t *mx_doctor_report_create(const char *room_id, apr_pool_t *pool)
{
    mx_doctor_report_t *report = apr_pcalloc(pool, sizeof(*report));
    report->pool = pool;
    report->room_id = apr_pstrdup(pool, room_id);
    report->findings = apr_array_make(pool, 8, sizeof(mx_doctor_finding_t));
    return report;
}

void mx_doctor_report_add(mx_doctor_report_t *report, mx_doctor_check_e check, const char *event_id, const char *fmt, ...)
{
    mx_doctor_finding_t *finding;
    va_list args;
    if (report->found[check]++ >= MX_DOCTOR_SHOWN_MAX)
        return;
    finding = apr_array_push(report->findings);
    finding->check = check;
    finding->event_id = apr_pstrdup(report->pool, event_id);
    va_start(args, fmt);
    finding->words = apr_pvsprintf(report->pool, fmt, args);
    va_end(args);
}

static long count(const mx_doctor_report_t *report, int repairs_too, int others_too)
{
    long sum = 0;
    int i;
    for (i = 0; i < MX_DOCTOR_NCHECKS; i++)
        sum += (checks[i].repairs ? repairs_too : others_too) ? report->found[i] : 0;
    return sum;
}

long mx_doctor_report_left(const mx_doctor_report_t *report)
{
    return count(report, !report->repaired, 1);
}

long mx_doctor_report_repairable(const mx_doctor_report_t *report)
{
    return count(report, 1, 0);
}

/* ---- in words ---- */

static void print_findings(const mx_doctor_report_t *report, mx_doctor_check_e check, FILE *to)
{
    int i, shown = 0;
    for (i = 0; i < report->findings->nelts; i++) {
        const mx_doctor_finding_t *f = &APR_ARRAY_IDX(report->findings, i, mx_doctor_finding_t);
        if (f->check != check)
            continue;
        fprintf(to, f->event_id ? "  [%s] %s: %s\n" : "  [%s] %s%s\n", checks[check].code, f->event_id ? f->event_id : "", f->words);
        shown++;
    }
    if (report->found[check] > shown)
        fprintf(to, "  [%s] and %ld more of the kind\n", checks[check].code, report->found[check] - shown);
    if (shown && !(checks[check].repairs && report->repaired))
        fprintf(to, "    %s\n", checks[check].advice);
}

static void print_repair(const mx_doctor_report_t *report, FILE *to)
{
    const mx_doctor_written_t *w = &report->written;
    if (report->repaired)
        fprintf(to, "  Repaired: %d rows of cur_state, %d of member, %d of room_server%s were rebuilt from the current state.\n",
                w->current, w->members, w->servers, w->counters ? " and the counters of members" : "");
}

void mx_doctor_report_print(const mx_doctor_report_t *report, FILE *to)
{
    long left = mx_doctor_report_left(report), all = count(report, 1, 1);
    int i;
    fprintf(to, "%s: %s. %ld events (%ld state, %ld rejected, %ld soft-failed, %ld outliers), %ld forks, %d entries of state.\n",
            report->room_id, !all ? "healthy" : left ? "NOT HEALTHY" : "repaired", report->events, report->state_events, report->rejected,
            report->soft_failed, report->outliers, report->forks, report->state_entries);
    for (i = 0; i < MX_DOCTOR_NCHECKS; i++)
        print_findings(report, i, to);
    if (report->follow)
        fprintf(to, "  The states of %ld more events are wrong because they follow from these.\n", report->follow);
    for (i = 0; i < MX_DOCTOR_NUNCHECKED; i++) {
        if (report->unchecked[i])
            fprintf(to, "  Not checked: %ld %s.\n", report->unchecked[i], unchecked[i].words);
    }
    print_repair(report, to);
}

/* ---- as JSON ---- */

static void write_finding(const mx_doctor_finding_t *f, int repaired, mx_json_writer_t *w)
{
    mx_jw_object(w);
    mx_jw_key_str(w, "check", checks[f->check].code);
    if (f->event_id)
        mx_jw_key_str(w, "event_id", f->event_id);
    mx_jw_key_str(w, "message", f->words);
    mx_jw_key_bool(w, "repairable", checks[f->check].repairs);
    mx_jw_key_bool(w, "repaired", repaired && checks[f->check].repairs);
    mx_jw_key_str(w, "advice", checks[f->check].advice);
    mx_jw_end_object(w);
}

static void write_counts(const mx_doctor_report_t *report, mx_json_writer_t *w)
{
    int i;
    mx_jw_key_int(w, "events", report->events);
    mx_jw_key_int(w, "state_events", report->state_events);
    mx_jw_key_int(w, "rejected", report->rejected);
    mx_jw_key_int(w, "soft_failed", report->soft_failed);
    mx_jw_key_int(w, "outliers", report->outliers);
    mx_jw_key_int(w, "forks", report->forks);
    mx_jw_key_int(w, "state_entries", report->state_entries);
    mx_jw_key_int(w, "states_that_follow_wrong_ones", report->follow);
    mx_jw_key_object(w, "found");
    for (i = 0; i < MX_DOCTOR_NCHECKS; i++) {
        if (report->found[i])
            mx_jw_key_int(w, checks[i].code, report->found[i]);
    }
    mx_jw_end_object(w);
    mx_jw_key_object(w, "not_checked");
    for (i = 0; i < MX_DOCTOR_NUNCHECKED; i++) {
        if (report->unchecked[i])
            mx_jw_key_int(w, unchecked[i].code, report->unchecked[i]);
    }
    mx_jw_end_object(w);
}

void mx_doctor_report_write(const mx_doctor_report_t *report, mx_json_writer_t *w)
{
    int i;
    mx_jw_object(w);
    mx_jw_key_str(w, "room_id", report->room_id);
    mx_jw_key_bool(w, "healthy", !mx_doctor_report_left(report));
    write_counts(report, w);
    mx_jw_key_array(w, "findings");
    for (i = 0; i < report->findings->nelts; i++)
        write_finding(&APR_ARRAY_IDX(report->findings, i, mx_doctor_finding_t), report->repaired, w);
    mx_jw_end_array(w);
    if (report->repaired) {
        mx_jw_key_object(w, "repaired");
        mx_jw_key_int(w, "cur_state", report->written.current);
        mx_jw_key_int(w, "member", report->written.members);
        mx_jw_key_int(w, "room_server", report->written.servers);
        mx_jw_key_int(w, "counters", report->written.counters);
        mx_jw_end_object(w);
    }
    mx_jw_end_object(w);
}
