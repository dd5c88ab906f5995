#!/usr/bin/env bash
# Reports in a real browser: pictures at 1280 and 390 pixels, light and dark, to be looked at; fails when something is wider than the screen or cut.
#
#   scripts/pages.sh [FOLDER] [URL...]   pictures go to FOLDER (target/pages); pages of a running pgweir besides those of the tests
set -euo pipefail

folder=$(mkdir -p "${1:-target/pages}" && cd "${1:-target/pages}" && pwd)
shift || true

PGWEIR_TEST_PAGES=$folder cargo test --locked --lib -- report::tests::golden::html >&2

profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

browse() {
    timeout 120 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
        --allow-file-access-from-files --disable-web-security --user-data-dir="$profile" "$@" 2>/dev/null
}

# A browser's window is at least 500 pixels wide, so a phone is a frame.
frame() { # URL WIDTH HEIGHT
    cat <<END
<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><iframe id="f" src="$1" style="border:0;width:$2px;height:$3px"></iframe>
<pre id="found">not looked at</pre><script>
const frame = document.getElementById('f');
frame.addEventListener('load', () => {
    const page = frame.contentDocument, wide = page.documentElement.clientWidth, found = [];
    if (page.documentElement.scrollWidth > wide) found.push('the page is ' + page.documentElement.scrollWidth + ' wide');
    for (const one of page.querySelectorAll('main *')) {
        const box = one.getBoundingClientRect(), style = frame.contentWindow.getComputedStyle(one);
        const seen = box.width > 0 && box.right > 0 && style.position !== 'absolute';
        if (seen && box.right > wide + 1) found.push(one.tagName + ' ends at ' + Math.round(box.right) + ': ' + one.textContent.slice(0, 40));
        if (seen && one.scrollWidth > one.clientWidth + 1 && style.overflowX === 'hidden' && one.clientWidth > 0)
            found.push(one.tagName + ' is cut: ' + one.textContent.slice(0, 40));
    }
    document.getElementById('found').textContent = found.length ? found.join('\n') : 'well';
});
</script>
END
}

failed=0
check() { # NAME URL
    local width height look
    for width in 1280 390; do
        height=$([ "$width" = 390 ] && echo 5200 || echo 3600)
        frame "$2" "$width" "$height" >"$folder/frame.html"
        look=$(browse --window-size=1400,1200 --virtual-time-budget=4000 --dump-dom "file://$folder/frame.html" |
            tr '\n' '\r' | sed 's/.*<pre id="found">//; s/<\/pre>.*//' | tr '\r' '\n')
        if [ "$look" != well ]; then
            printf '%s at %s pixels:\n%s\n' "$1" "$width" "${look:-the browser said nothing}" >&2
            failed=1
        fi
        browse --window-size=$((width < 500 ? 500 : width)),$height --screenshot="$folder/$1-$width.png" "file://$folder/frame.html" >/dev/null
        browse --window-size=$((width < 500 ? 500 : width)),$height --blink-settings=preferredColorScheme=0 --force-dark-mode \
            --screenshot="$folder/$1-$width-dark.png" "file://$folder/frame.html" >/dev/null
    done
    printf '%s: %s\n' "$1" "$folder/$1-*.png"
}

for page in advised plain budget fleet; do
    check "$page" "file://$folder/$page.html"
done
number=0
for url in "$@"; do
    number=$((number + 1))
    # They do not let themselves be framed: looked at as they were given, with their style.
    { curl -fsS "$url"; printf '<style>%s</style>' "$(curl -fsS "$(echo "$url" | cut -d/ -f1-3)/style.css")"; } >"$folder/live-$number.html"
    check "live-$number" "file://$folder/live-$number.html"
done
rm -f "$folder/frame.html"
exit "$failed"
