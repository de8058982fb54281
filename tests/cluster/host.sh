# The first process of a host: host.sh FOLDER NAME [OUTSIDE INSIDE]…, in namespaces of its own; it says "ready".
# The host has its own /tmp, /run, /etc and home, and the outside folders where it is told; the rest is the machine's.
set -e
folder=$1 name=$2 home=/users/ovseg
shift 2
mkdir -p "$folder/root" "$folder/tmp" "$folder/home"
# Of memory, and seen by the host alone: whoever deletes the folder meets none of the machine's own.
mount -t tmpfs -o mode=755 none "$folder/root"
for entry in /*; do
    if [ -L "$entry" ]; then
        cp -a "$entry" "$folder/root/"
    elif [ -d "$entry" ]; then
        mkdir "$folder/root$entry"
        case $entry in /etc | /proc | /run | /tmp) ;; *) mount --rbind "$entry" "$folder/root$entry" ;; esac
    fi
done
cd "$folder/root"
mount -t proc proc proc
mount --bind "$folder/tmp" tmp
mkdir -p "./$home" run/sshd
mount --bind "$folder/home" "./$home"
while [ $# -gt 0 ]; do
    mkdir -p "./$2"
    mount --bind "$1" "./$2"
    shift 2
done
cp -a /etc/. etc
cp "$folder/hosts" etc/hosts
# There is no name server, and nobody shall wait for one.
rm -f etc/resolv.conf
sed -i "1i ovseg:x:0:0::$home:/bin/bash" etc/passwd
hostname "$name"
# It picks up orphans, as a first process has to: a shell that waits does.
exec chroot . bash -c 'cd /; echo ready; sleep infinity & wait'
