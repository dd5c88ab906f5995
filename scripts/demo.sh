#!/usr/bin/env bash
# The sample shop at work for a minute, with problems planted in it; then what pgweir says of them, and its pages until Ctrl-C.
#
#   scripts/demo.sh [--follow] [ARGUMENT FOR pgweir demo]...
#
# The problems: an index that is missing (events by customer and time), customers looked up one by one (N+1), an order's number sent as a
# numeric, a question asked again and again to which the answer hardly changes, and a table that has grown since its statistics
# were gathered. Enter puts on the same load again, so that the second report shows what was repaired in between; `c` and Enter puts it on
# with the application's own two problems repaired. --follow does all of it by itself: applies every migration and
# rule file of the advice, repairs the application, loads, reports, and ends.
set -euo pipefail

pgweir=${PGWEIR:-${CARGO_TARGET_DIR:-target}/release/pgweir}
seconds=${DEMO_SECONDS:-60}
follow=
if [ "${1-}" = --follow ]; then
    follow=1
    shift
fi

folder=$(mktemp -d)
demo=
loaded=
end() {
    trap - EXIT INT TERM
    [ -z "$demo" ] || { kill -TERM "$demo" 2>/dev/null && wait "$demo"; } || true
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT TERM

mkdir "$folder/rules"
printf '[history]\ninterval = "1s"\nadvise = "1m"\n' >"$folder/pgweir.toml"
: >"$folder/log"
"$pgweir" demo --config "$folder/pgweir.toml" --store "$folder/history" --rules "$folder/rules" "$@" >"$folder/log" 2>&1 &
demo=$!

url_after() { sed -n "s/^$1: *psql //p" "$folder/log"; }

until [ -n "$(url_after directly)" ]; do
    kill -0 "$demo" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    sleep 0.2
done
through=$(url_after 'through pgweir')
directly=$(url_after directly)

# load [--repaired PROBLEM,...]: a report on this load only.
load() {
    local begun since beside=()
    # History is by the minute: what was before shares none with this load.
    [ -z "$loaded" ] || { printf '\nwaiting for the next minute, so that the report is on this load only ...\n' && sleep $((61 - $(date +%s) % 60)); }
    loaded=1
    begun=$(date +%s)
    printf '\nload on the shop for %s seconds ...\n' "$seconds"
    "$pgweir" load --seconds "$seconds" "$@" "$through"
    # The history is written each second.
    sleep 3
    printf '\n'
    since=$(($(date +%s) - begun))s
    # The report says what changed since the one before.
    [ ! -s "$folder/before.json" ] || beside=(--diff "$folder/before.json")
    "$pgweir" report --store "$folder/history" --since "$since" --limit 12 "${beside[@]}" "$directly"
    "$pgweir" report --store "$folder/history" --since "$since" --limit 100 --format json "$directly" >"$folder/this.json"
    mv "$folder/this.json" "$folder/before.json"
    advise "$since"
}

# advise TIME: the report's fixes once more, as files to apply.
advise() {
    rm -rf "$folder/advice"
    "$pgweir" advise --store "$folder/history" --since "$1" --write "$folder/advice" "$directly" >/dev/null
}

# What undoes a migration stands in a file beside it.
migrations() { [ ! -d "$folder/advice" ] || find "$folder/advice" -name '*.up.sql' | sort; }

apply() {
    local file
    migrations | while read -r file; do
        printf '\napplying %s\n' "${file##*/}"
        psql -X -q -v ON_ERROR_STOP=1 -d "$directly" -f "$file"
    done
    [ ! -d "$folder/advice" ] || find "$folder/advice" -name '*.toml' -exec cp {} "$folder/rules" \;
    kill -HUP "$demo"
}

load
if [ -n "$follow" ]; then
    apply
    load --repaired n_plus_one,cast
    exit 0
fi

pages=http://127.0.0.1:6433/
while [ $# -gt 1 ]; do
    [ "$1" != --http ] || pages=http://$2/
    shift
done
printf '\npages:           %s\n' "$pages"
printf 'through pgweir:  psql %s\ndirectly:        psql %s\n' "$through" "$directly"
migrations | sed "s|.*|to apply:        psql '$directly' -f &|"
printf 'statistics:      psql %s -c "ANALYZE parcels"\n' "$directly"
printf '\nEnter: the same load and a report once more.  c, Enter: with N+1 and cast repaired.  Ctrl-C: the end.\n'
while [ -t 0 ] && read -r answer; do
    case $answer in
        c*) load --repaired n_plus_one,cast ;;
        *) load ;;
    esac
done
wait "$demo"
