# Cleans up after a bench that was interrupted or killed: its standard input closes then.
# `+ PID` on standard input names a process that was started, `- PID` one that has ended. $1 is the folder to remove.
trap '' INT TERM HUP
pids=' '
while read -r sign pid; do
    case $sign in
        +) pids="$pids$pid " ;;
        -) pids="${pids%" $pid "*} ${pids#*" $pid "}" ;;
    esac
done
if [ "$pids" != ' ' ]; then
    # PostgreSQL takes its children along on QUIT, which it could not on KILL.
    kill -QUIT $pids
    sleep 1
    kill -KILL $pids
fi 2>/dev/null
cd / && rm -rf "$1"
