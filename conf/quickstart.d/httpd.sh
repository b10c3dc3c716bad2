# SPDX-License-Identifier: Apache-2.0
# The certificate, httpd's configuration, and httpd itself.
# Sourced by conf/quickstart, whose variables it uses.

# ---------------------------------------------------------------------- certificate
certificate_names() {
    local n h out=DNS:localhost,IP:127.0.0.1,IP:::1
    for n in $(vhost_numbers); do
        set_vhost "$n"
        for h in "$V_HOST" "${opt[bind]}"; do
            h=${h#[}; h=${h%]}
            if [[ $h == *:* || $h =~ ^[0-9.]+$ ]]; then h=IP:$h; else h=DNS:$h; fi
            case ,$out, in *",$h,"*) ;; *) out+=,$h ;; esac
        done
    done
    printf '%s' "$out"
}

make_ca() {
    CA_CERT=${opt[ca_cert]:-$HOME_DIR/ca.pem} CA_KEY=${opt[ca_key]:-$HOME_DIR/ca.key}
    [ ! -s "$CA_CERT" ] || return 0
    (umask 077; openssl ecparam -name prime256v1 -genkey -noout -out "$CA_KEY")
    openssl req -x509 -new -sha256 -key "$CA_KEY" -days 3650 -subj "/CN=mod_matrix development CA ${opt[id]}" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out "$CA_CERT" 2>/dev/null \
        || die "openssl could not make a certificate authority"
}

make_certificate() {
    local names stamp
    make_ca
    names=$(certificate_names)
    stamp="$names $CA_CERT $(openssl x509 -in "$CA_CERT" -noout -fingerprint)"
    if [ -s "$DIR/tls.pem" ] && [ "$(cat "$DIR/tls.names" 2>/dev/null)" = "$stamp" ] \
        && openssl x509 -in "$DIR/tls.pem" -noout -checkend 604800 >/dev/null; then return 0; fi
    (umask 077; openssl ecparam -name prime256v1 -genkey -noout -out "$DIR/tls.key")
    openssl req -new -sha256 -key "$DIR/tls.key" -subj /CN=mod_matrix -out "$DIR/tls.csr"
    openssl x509 -req -sha256 -in "$DIR/tls.csr" -CA "$CA_CERT" -CAkey "$CA_KEY" -set_serial "0x$(random_word 8)" -days 800 \
        -extfile <(printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n' "$names") \
        -out "$DIR/tls.leaf" 2>/dev/null || die "openssl could not sign the server's certificate"
    cat "$DIR/tls.leaf" "$CA_CERT" >"$DIR/tls.pem"
    rm -f "$DIR/tls.csr" "$DIR/tls.leaf"
    printf '%s\n' "$stamp" >"$DIR/tls.names"
}

# ---------------------------------------------------------------------- httpd's configuration
STOCK_MODULES='mpm_event access_compat alias auth_basic authn_core authn_file authz_core authz_host authz_user autoindex
    dbd deflate dir env filter headers http2 log_config mime negotiation reqtimeout rewrite setenvif socache_shmcb ssl
    status unixd'

load_modules() {
    local m builtin
    builtin=$("$HTTPD" -l)
    for m in $STOCK_MODULES; do
        case $builtin in *"mod_$m.c"*|*" $m.c"*) continue ;; esac
        [ -f "$MODULES/mod_$m.so" ] || die "httpd has no module mod_$m.so in $MODULES"
        printf 'LoadModule %s_module %s/mod_%s.so\n' "$m" "$MODULES" "$m"
    done
    printf 'LoadModule matrix_module %s/bin/mod_matrix.so\n' "$DIR"
}

listen_on() {
    case $1 in *:*) printf '[%s]:%s' "${1#[}" "$2" | sed 's/\]\]/]/' ;; *) printf '%s:%s' "$1" "$2" ;; esac
}

write_vhost() {   # the lines a vhost needs to be a homeserver; the plain and the TLS one include the same
    local line
    [[ $V_HOST == \[* ]] || printf 'ServerName %s\n' "$V_HOST"   # httpd takes no IPv6 literal here
    cat <<CONF
MatrixServerName $V_NAME
MatrixSigningKey "$V_HOME/signing.key"
DBDriver pgsql
DBDParams "$V_DSN"
DBDMin 0
DBDKeep $(db_connections)
DBDMax $(db_connections)
MatrixRegistration ${opt[registration]}
MatrixRateLimits ${opt[rate_limits]}
MatrixOutgoingPrivate on
MatrixWellKnownClient $V_URL
MatrixWellKnownServer $V_HOST:${V_HTTPS:-${opt[https]}}
CONF
    for line in ${conf_lines[@]+"${conf_lines[@]}"}; do printf '%s\n' "$line"; done
}

write_ports() {
    local n port
    {
        printf '%s plain\n%s tls\n' "${opt[http]}" "${opt[https]}"
        for n in $(vhost_numbers); do
            set_vhost "$n"
            printf '%s plain\n' "$V_HTTP"
            [ -z "$V_HTTPS" ] || printf '%s tls\n' "$V_HTTPS"
        done
    } | sort -u | while read -r port kind; do
        printf 'Listen %s%s\n' "$(listen_on "${opt[bind]}" "$port")" "$([ "$kind" = plain ] || echo ' https')"
    done
}

# The main homeserver comes first, so it answers for every name that no other has on the shared ports.
write_vhosts() {
    local n plain tls
    for n in $(vhost_numbers); do
        set_vhost "$n"
        write_vhost >"$V_DIR/vhost.conf"
        plain="*:${opt[http]}" tls="*:${opt[https]}"
        [ "$V_HTTP" = "${opt[http]}" ] || plain+=" *:$V_HTTP"
        [ -z "$V_HTTPS" ] || [ "$V_HTTPS" = "${opt[https]}" ] || tls+=" *:$V_HTTPS"
        cat <<CONF

<VirtualHost $plain>
    Include "$V_DIR/vhost.conf"
</VirtualHost>
<VirtualHost $tls>
    Include "$V_DIR/vhost.conf"
    SSLEngine on
    SSLCertificateFile "$DIR/tls.pem"
    SSLCertificateKeyFile "$DIR/tls.key"
    Protocols h2 http/1.1
</VirtualHost>
CONF
    done
}

write_httpd_conf() {
    local workers=$((opt[children] * THREADS_PER_CHILD)) line
    cat <<CONF
# Written by conf/quickstart at every up; --conf-line and --server-line add to it.
ServerRoot "$STATE"
ServerName ${opt[bind]}
DefaultRuntimeDir "$RUN"
PidFile "$PIDFILE"
$(load_modules)
$(write_ports)
ListenBackLog 4096
$(is_root && printf 'User www-data\nGroup www-data\n')

# A fixed number of children: none is added or removed while the server runs. The spare slots are for the old
# children of a graceful restart.
StartServers ${opt[children]}
ServerLimit $((opt[children] * 2 + 4))
ThreadLimit $THREADS_PER_CHILD
ThreadsPerChild $THREADS_PER_CHILD
MaxRequestWorkers $workers
MinSpareThreads 1
MaxSpareThreads $((workers + THREADS_PER_CHILD))
MaxConnectionsPerChild 0
AsyncRequestWorkerFactor 2000
Timeout 60
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500
ServerTokens Prod
# mod_status counts what waits all the same. On, each request asks the kernel for the CPU time of all threads (5 % of a send).
ExtendedStatus Off

# The path without the query: ?access_token= is never logged.
ErrorLog "$DIR/log/error.log"
LogLevel warn matrix_module:info
LogFormat "%h %l %u %t \"%m %U %H\" %>s %B %D" matrix
CustomLog "$DIR/log/access.log" matrix

TypesConfig $([ -r /etc/mime.types ] && echo /etc/mime.types || echo /dev/null)
DocumentRoot "$STATE/htdocs"
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory "$STATE/htdocs">
    Require all granted
</Directory>
<Location /server-status>
    SetHandler server-status
    Require local
</Location>
AddOutputFilterByType DEFLATE text/html text/plain text/css application/json application/javascript
SSLSessionCache "shmcb:$RUN/ssl_cache(512000)"
SSLProtocol all -SSLv3 -TLSv1 -TLSv1.1
CONF
    for line in ${server_lines[@]+"${server_lines[@]}"}; do printf '%s\n' "$line"; done
    write_vhosts
}

# ---------------------------------------------------------------------- httpd
httpd_pid() {
    local pid
    pid=$(cat "$PIDFILE" 2>/dev/null) || return 1
    [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$DIR/httpd.conf" && printf '%s' "$pid"
}

run_httpd() {
    local env=(PATH="$PATH" LC_ALL=C.UTF-8) gcc_lib
    [ -x "$HTTPD" ] || die "there is no httpd '$HTTPD', which apxs named; conf/quickstart up --dir $DIR looks again"
    case ${opt[flavour]-} in
        asan) gcc_lib=$(gcc -print-file-name=libasan.so)
              env+=(LD_PRELOAD="$gcc_lib" UBSAN_OPTIONS=print_stacktrace=1
                    ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:detect_odr_violation=0) ;;
        tsan) gcc_lib=$(gcc -print-file-name=libtsan.so)
              env+=(LD_PRELOAD="$gcc_lib $BUILD/tsan/tsan_atomics.so" TSAN_OPTIONS="suppressions=$REPO/tests/tsan.supp history_size=4") ;;
    esac
    (exec 9>&-; cd "$STATE"; ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)" || true
     exec env -i "${env[@]}" "$HTTPD" -f "$DIR/httpd.conf" "$@") </dev/null
}

module_stamp() { stat -c '%i %Y' "$DIR/bin/mod_matrix.so"; }

check_port() {
    if (exec 3<>"/dev/tcp/${V_URL_HOST}/$1") 2>/dev/null; then
        die "port $1 is taken by another program; choose others with --http and --https"
    fi
}

check_ports_free() {
    local n port
    for n in $(vhost_numbers); do
        set_vhost "$n"
        V_URL_HOST=${V_URL#http://}; V_URL_HOST=${V_URL_HOST%:*}; V_URL_HOST=${V_URL_HOST#[}; V_URL_HOST=${V_URL_HOST%]}
        for port in "$V_HTTP" ${V_HTTPS:-${opt[https]}}; do check_port "$port"; done
    done
}

wait_for_answer() {
    local n deadline=$((SECONDS + HTTPD_START_TIMEOUT_S))
    for n in $(vhost_numbers); do
        set_vhost "$n"
        until curl -s -f -g -o /dev/null -m 5 "$V_URL/_matrix/client/versions"; do
            httpd_pid >/dev/null || { tail -n 10 "$DIR/log/error.log" >&2; die "httpd stopped; see $DIR/log/error.log"; }
            [ $SECONDS -lt $deadline ] || { tail -n 10 "$DIR/log/error.log" >&2
                die "$V_URL/_matrix/client/versions does not answer; see $DIR/log/error.log"; }
            sleep 0.05
        done
    done
}

start_httpd() {
    local said
    check_ports_free
    said=$(run_httpd -k start 2>&1) || { printf '%s\n' "$said" >&2; die "httpd did not start; see $DIR/log/error.log"; }
    module_stamp >"$RUN/module.stamp"
    wait_for_answer
}

stop_httpd() {
    local pid i
    pid=$(httpd_pid) || return 0
    kill -TERM "$pid" 2>/dev/null || true
    for i in $(seq 300); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.05
    done
    die "httpd (pid $pid) does not stop"
}
