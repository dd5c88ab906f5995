# Owns the throw-away server of `pgweir demo`: makes it, keeps it for as long as standard input is open, removes it.
#
# Standard input is a pipe held by pgweir. It closes however pgweir ends, so the server never outlives it.
# Arguments: the folder, which exists and is empty; the folder of PostgreSQL's programs; the port; the superuser.
# The first line of standard input is the password. Prints `ready` once the server accepts connections.

# Ctrl-C in a terminal is for pgweir; this script ends when the pipe does.
# It may have ended before the server is ready: then nobody reads what is said, and what is left is to be removed.
trap '' INT TERM HUP PIPE

folder=$1 bin=$2 port=$3 superuser=$4
server= # process id, once started

as_postgres=
if [ "$(id -u)" = 0 ]; then
    # PostgreSQL refuses to run as root.
    as_postgres='setpriv --reuid=postgres --regid=postgres --init-groups'
    chown postgres: "$folder"
fi
cd "$folder" || exit 1

IFS= read -r password
(umask 077 && printf '%s\n' "$password" >password)
[ -z "$as_postgres" ] || chown postgres: password

make_server() {
    $as_postgres "$bin/initdb" -D "$folder/data" -U "$superuser" --pwfile=password -A scram-sha-256 \
        -E UTF8 --locale=C.UTF-8 --no-sync || return 1
    rm password
    preload=
    [ ! -e "$($bin/pg_config --pkglibdir)/pg_stat_statements.so" ] || preload=pg_stat_statements
    cat >>data/postgresql.conf <<END || return 1
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$folder'
max_connections = 200
shared_preload_libraries = '$preload'
wal_level = logical
# Nothing here is worth a disk write.
fsync = off
synchronous_commit = off
full_page_writes = off
END
}

start_server() {
    $as_postgres "$bin/postgres" -D "$folder/data" >>server.log 2>&1 &
    server=$!
    until "$bin/pg_isready" -q -h "$folder" -p "$port"; do
        kill -0 $server || return 1
        sleep 0.1
    done
}

if { make_server && start_server; } </dev/null >setup.log 2>&1; then
    echo ready
else
    cat setup.log server.log >&2 2>/dev/null
fi
exec >/dev/null 2>&1

cat # until the pipe closes
# Immediate shutdown: nothing here needs saving.
[ -z "$server" ] || { kill -QUIT $server && wait $server; }
cd / && rm -rf "$folder"
