
use builtin;
use str;

set edit:completion:arg-completer[mvm] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'mvm'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'mvm'= {
            cand -v 'Say where the time goes; twice: say what is done'
            cand --verbose 'Say where the time goes; twice: say what is done'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Create a VM from an image and run a command in it'
            cand create 'Create a VM from an image, to be started later'
            cand start 'Start VMs that do not run, with the disks that they have'
            cand restart 'Stop VMs and start them again'
            cand exec 'Run another command in a running VM'
            cand pull 'Pull an image from a registry, or take one from a directory or an archive'
            cand push 'Push an image to a registry'
            cand login 'Log in to a registry'
            cand logout 'Log out from a registry'
            cand images 'List images'
            cand rmi 'Remove images'
            cand tag 'Give an image another name'
            cand history 'Show how an image was built'
            cand image 'Manage images'
            cand system 'Manage what mvm keeps on this machine'
            cand load 'Load images from an archive (docker save, or a tar of an OCI layout)'
            cand save 'Save images to an archive'
            cand ps 'List VMs'
            cand logs 'Show what the command of a VM has written'
            cand rename 'Give a VM another name'
            cand attach 'Take stdin, stdout and stderr of a running VM''s command'
            cand stop 'Stop running VMs'
            cand kill 'Send a signal to the commands of running VMs'
            cand wait 'Wait until VMs end, and print their exit codes'
            cand inspect 'Show all that is known of VMs or images'
            cand rm 'Remove VMs and their disks'
            cand doctor 'Check this host and say how to fix what is wrong'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mvm;run'= {
            cand -a 'Take only these streams of the command; stdin too with -i'
            cand --attach 'Take only these streams of the command; stdin too with -i'
            cand --sig-proxy 'Pass signals on to the command; else they end this one alone'
            cand --detach-keys 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]'
            cand --cidfile 'Write the VM''s ID to a file'
            cand -e 'Set a variable; with no value, to what it is here'
            cand --env 'Set a variable; with no value, to what it is here'
            cand -v 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to'
            cand --volume 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to'
            cand --mount 'The same in words: type=bind,source=/on/host,target=/in/vm[,readonly], or type=tmpfs,target=/in/vm'
            cand -w 'Working directory in the VM'
            cand --workdir 'Working directory in the VM'
            cand -u 'User, and group, of the command: names or numbers'
            cand --user 'User, and group, of the command: names or numbers'
            cand --entrypoint 'Program to run in place of the image''s entrypoint'
            cand --name 'Name of the VM, in place of a random one'
            cand -h 'Host name in the VM, in place of its short ID'
            cand --hostname 'Host name in the VM, in place of its short ID'
            cand --cpus 'CPUs; a fraction limits the command''s share of the last one'
            cand -m 'RAM in MiB, or with a unit: 512m, 2g'
            cand --memory 'RAM in MiB, or with a unit: 512m, 2g'
            cand --disk 'Largest size of the VM''s own disk; takes space only as it fills'
            cand --network 'Network: none, or user (reaches out, and the host''s loopback too)'
            cand --pull 'When to pull the image'
            cand --platform 'Platform to choose from an image for several: linux/amd64'
            cand --kernel 'Guest kernel to boot (also: MVM_KERNEL)'
            cand --stop-signal 'Signal with which `mvm stop` asks the command to end'
            cand --stop-timeout 'Seconds that `mvm stop` gives it then, -1 for ever'
            cand --boot-timeout 'Seconds that the guest may take to boot [default: 30; emulated: 180]'
            cand --backend 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]'
            cand --pids-limit 'Processes and threads there can be, -1 for as many as fit'
            cand --ulimit 'Limit of setrlimit(2), -1 for none: nofile=1024:4096'
            cand --shm-size 'Size of /dev/shm in bytes, or with a unit [default: 64m]'
            cand --tmpfs 'Mount a file system in memory: /run:size=10m,mode=755,exec'
            cand --add-host 'Line of /etc/hosts; host-gateway is the host''s address'
            cand --dns 'Name server, in place of the network''s'
            cand --dns-search 'Domain to look names up in, "." for none'
            cand --dns-option 'Option of resolv.conf(5)'
            cand --dns-opt 'Option of resolv.conf(5)'
            cand --env-file 'Set variables from a file, a NAME[=VALUE] a line; -e wins'
            cand -l 'Label the VM'
            cand --label 'Label the VM'
            cand --label-file 'Label the VM from a file, a NAME[=VALUE] a line'
            cand --group-add 'Further group of the command, name or number'
            cand --sysctl 'Set a parameter of the VM''s kernel'
            cand --cap-add 'Give the command a capability, or ALL'
            cand --cap-drop 'Take a capability from the command, or ALL'
            cand --device 'Device of the VM''s kernel: /dev/fuse, /dev/net/tun'
            cand --security-opt 'no-new-privileges[=false], systempaths=unconfined'
            cand --device-cgroup-rule 'device-cgroup-rule'
            cand --storage-opt 'storage-opt'
            cand --gpus 'gpus'
            cand --ipc 'ipc'
            cand --pid 'pid'
            cand --uts 'uts'
            cand --userns 'userns'
            cand --cgroupns 'cgroupns'
            cand --cgroup-parent 'cgroup-parent'
            cand --memory-swap 'memory-swap'
            cand --memory-swappiness 'memory-swappiness'
            cand --memory-reservation 'memory-reservation'
            cand --oom-score-adj 'oom-score-adj'
            cand --cpu-shares 'cpu-shares'
            cand --cpu-period 'cpu-period'
            cand --cpu-quota 'cpu-quota'
            cand --cpuset-cpus 'cpuset-cpus'
            cand --cpuset-mems 'cpuset-mems'
            cand --blkio-weight 'blkio-weight'
            cand --runtime 'runtime'
            cand --isolation 'isolation'
            cand --log-driver 'Whether the output is kept for `mvm logs`'
            cand --log-opt 'How much of it: max-size=SIZE of a file, max-file=NUMBER of them'
            cand -d 'Run in the background and print the VM''s ID'
            cand --detach 'Run in the background and print the VM''s ID'
            cand -i 'Pass stdin to the command'
            cand --interactive 'Pass stdin to the command'
            cand -t 'Give the command a terminal'
            cand --tty 'Give the command a terminal'
            cand --rm 'Remove the VM when it ends, however it ends'
            cand -q 'Do not show how the pull goes on'
            cand --quiet 'Do not show how the pull goes on'
            cand --help 'Print help'
            cand --read-only 'Make the root read-only'
            cand --privileged 'Let the command do all that the VM can do'
            cand --init 'Accepted: the first process of a VM always reaps orphans'
            cand --oom-kill-disable 'oom-kill-disable'
        }
        &'mvm;create'= {
            cand --cidfile 'Write the VM''s ID to a file'
            cand -e 'Set a variable; with no value, to what it is here'
            cand --env 'Set a variable; with no value, to what it is here'
            cand -v 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to'
            cand --volume 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to'
            cand --mount 'The same in words: type=bind,source=/on/host,target=/in/vm[,readonly], or type=tmpfs,target=/in/vm'
            cand -w 'Working directory in the VM'
            cand --workdir 'Working directory in the VM'
            cand -u 'User, and group, of the command: names or numbers'
            cand --user 'User, and group, of the command: names or numbers'
            cand --entrypoint 'Program to run in place of the image''s entrypoint'
            cand --name 'Name of the VM, in place of a random one'
            cand -h 'Host name in the VM, in place of its short ID'
            cand --hostname 'Host name in the VM, in place of its short ID'
            cand --cpus 'CPUs; a fraction limits the command''s share of the last one'
            cand -m 'RAM in MiB, or with a unit: 512m, 2g'
            cand --memory 'RAM in MiB, or with a unit: 512m, 2g'
            cand --disk 'Largest size of the VM''s own disk; takes space only as it fills'
            cand --network 'Network: none, or user (reaches out, and the host''s loopback too)'
            cand --pull 'When to pull the image'
            cand --platform 'Platform to choose from an image for several: linux/amd64'
            cand --kernel 'Guest kernel to boot (also: MVM_KERNEL)'
            cand --stop-signal 'Signal with which `mvm stop` asks the command to end'
            cand --stop-timeout 'Seconds that `mvm stop` gives it then, -1 for ever'
            cand --boot-timeout 'Seconds that the guest may take to boot [default: 30; emulated: 180]'
            cand --backend 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]'
            cand --pids-limit 'Processes and threads there can be, -1 for as many as fit'
            cand --ulimit 'Limit of setrlimit(2), -1 for none: nofile=1024:4096'
            cand --shm-size 'Size of /dev/shm in bytes, or with a unit [default: 64m]'
            cand --tmpfs 'Mount a file system in memory: /run:size=10m,mode=755,exec'
            cand --add-host 'Line of /etc/hosts; host-gateway is the host''s address'
            cand --dns 'Name server, in place of the network''s'
            cand --dns-search 'Domain to look names up in, "." for none'
            cand --dns-option 'Option of resolv.conf(5)'
            cand --dns-opt 'Option of resolv.conf(5)'
            cand --env-file 'Set variables from a file, a NAME[=VALUE] a line; -e wins'
            cand -l 'Label the VM'
            cand --label 'Label the VM'
            cand --label-file 'Label the VM from a file, a NAME[=VALUE] a line'
            cand --group-add 'Further group of the command, name or number'
            cand --sysctl 'Set a parameter of the VM''s kernel'
            cand --cap-add 'Give the command a capability, or ALL'
            cand --cap-drop 'Take a capability from the command, or ALL'
            cand --device 'Device of the VM''s kernel: /dev/fuse, /dev/net/tun'
            cand --security-opt 'no-new-privileges[=false], systempaths=unconfined'
            cand --device-cgroup-rule 'device-cgroup-rule'
            cand --storage-opt 'storage-opt'
            cand --gpus 'gpus'
            cand --ipc 'ipc'
            cand --pid 'pid'
            cand --uts 'uts'
            cand --userns 'userns'
            cand --cgroupns 'cgroupns'
            cand --cgroup-parent 'cgroup-parent'
            cand --memory-swap 'memory-swap'
            cand --memory-swappiness 'memory-swappiness'
            cand --memory-reservation 'memory-reservation'
            cand --oom-score-adj 'oom-score-adj'
            cand --cpu-shares 'cpu-shares'
            cand --cpu-period 'cpu-period'
            cand --cpu-quota 'cpu-quota'
            cand --cpuset-cpus 'cpuset-cpus'
            cand --cpuset-mems 'cpuset-mems'
            cand --blkio-weight 'blkio-weight'
            cand --runtime 'runtime'
            cand --isolation 'isolation'
            cand --log-driver 'Whether the output is kept for `mvm logs`'
            cand --log-opt 'How much of it: max-size=SIZE of a file, max-file=NUMBER of them'
            cand -i 'Pass stdin to the command'
            cand --interactive 'Pass stdin to the command'
            cand -t 'Give the command a terminal'
            cand --tty 'Give the command a terminal'
            cand --rm 'Remove the VM when it ends, however it ends'
            cand -q 'Do not show how the pull goes on'
            cand --quiet 'Do not show how the pull goes on'
            cand --help 'Print help'
            cand --read-only 'Make the root read-only'
            cand --privileged 'Let the command do all that the VM can do'
            cand --init 'Accepted: the first process of a VM always reaps orphans'
            cand --oom-kill-disable 'oom-kill-disable'
        }
        &'mvm;start'= {
            cand --detach-keys 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]'
            cand -a 'Stay, show its output, pass on signals, and exit with its status'
            cand --attach 'Stay, show its output, pass on signals, and exit with its status'
            cand -i 'Pass stdin to the command, if it was made with -i; implies --attach'
            cand --interactive 'Pass stdin to the command, if it was made with -i; implies --attach'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;restart'= {
            cand -s 'Signal to send first [default: --stop-signal, the image''s, or TERM]'
            cand --signal 'Signal to send first [default: --stop-signal, the image''s, or TERM]'
            cand -t 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]'
            cand --timeout 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;exec'= {
            cand -e 'Set a variable; with no value, to what it is here'
            cand --env 'Set a variable; with no value, to what it is here'
            cand --env-file 'Set variables from a file, a NAME[=VALUE] a line; -e wins'
            cand -w 'Working directory in the VM [default: the VM''s command''s]'
            cand --workdir 'Working directory in the VM [default: the VM''s command''s]'
            cand -u 'User, and group: names or numbers [default: the VM''s command''s]'
            cand --user 'User, and group: names or numbers [default: the VM''s command''s]'
            cand --detach-keys 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]'
            cand -i 'Pass stdin to the command'
            cand --interactive 'Pass stdin to the command'
            cand -t 'Give the command a terminal'
            cand --tty 'Give the command a terminal'
            cand -d 'Leave the command when it has started'
            cand --detach 'Leave the command when it has started'
            cand --privileged 'With every right in the VM'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;pull'= {
            cand --platform 'Platform to choose from an image for several: linux/amd64'
            cand --disable-content-trust 'Docker''s; there is no content trust to disable'
            cand -q 'Print the reference only'
            cand --quiet 'Print the reference only'
            cand -a 'Docker''s; images are pulled one at a time'
            cand --all-tags 'Docker''s; images are pulled one at a time'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;push'= {
            cand -a 'Push all tags of the repository'
            cand --all-tags 'Push all tags of the repository'
            cand -q 'Print the reference only'
            cand --quiet 'Print the reference only'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;login'= {
            cand -u 'User name'
            cand --username 'User name'
            cand -p 'Docker''s flag, refused: other users see command lines'
            cand --password 'Docker''s flag, refused: other users see command lines'
            cand --password-stdin 'Read the password from stdin'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;logout'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;images'= {
            cand -f 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME'
            cand --filter 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME'
            cand --format 'table, json (one object for each line), or a template such as ''{{.ID}}'''
            cand -a 'All images; there are none that only others are built on'
            cand --all 'All images; there are none that only others are built on'
            cand --digests 'Show digests'
            cand -q 'IDs only'
            cand --quiet 'IDs only'
            cand --no-trunc 'Do not shorten what is long'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;rmi'= {
            cand -f 'Also one that a VM uses, or that has names in several repositories'
            cand --force 'Also one that a VM uses, or that has names in several repositories'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mvm;tag'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;history'= {
            cand --format 'table, json (one object for each line), or a template such as ''{{.ID}}'''
            cand -q 'IDs only'
            cand --quiet 'IDs only'
            cand --no-trunc 'Do not shorten what is long'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand ls 'List images'
            cand list 'List images'
            cand pull 'Pull an image from a registry, or take one from a directory or an archive'
            cand push 'Push an image to a registry'
            cand rm 'Remove images'
            cand remove 'Remove images'
            cand tag 'Give an image another name'
            cand load 'Load images from an archive (docker save, or a tar of an OCI layout)'
            cand save 'Save images to an archive'
            cand inspect 'Show all that is known of images'
            cand history 'Show how an image was built'
            cand prune 'Remove images without a name, and what ended pulls left'
            cand verify 'Check that images are what they were when they came'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mvm;image;ls'= {
            cand -f 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME'
            cand --filter 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME'
            cand --format 'table, json (one object for each line), or a template such as ''{{.ID}}'''
            cand -a 'All images; there are none that only others are built on'
            cand --all 'All images; there are none that only others are built on'
            cand --digests 'Show digests'
            cand -q 'IDs only'
            cand --quiet 'IDs only'
            cand --no-trunc 'Do not shorten what is long'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;list'= {
            cand -f 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME'
            cand --filter 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME'
            cand --format 'table, json (one object for each line), or a template such as ''{{.ID}}'''
            cand -a 'All images; there are none that only others are built on'
            cand --all 'All images; there are none that only others are built on'
            cand --digests 'Show digests'
            cand -q 'IDs only'
            cand --quiet 'IDs only'
            cand --no-trunc 'Do not shorten what is long'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;pull'= {
            cand --platform 'Platform to choose from an image for several: linux/amd64'
            cand --disable-content-trust 'Docker''s; there is no content trust to disable'
            cand -q 'Print the reference only'
            cand --quiet 'Print the reference only'
            cand -a 'Docker''s; images are pulled one at a time'
            cand --all-tags 'Docker''s; images are pulled one at a time'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;push'= {
            cand -a 'Push all tags of the repository'
            cand --all-tags 'Push all tags of the repository'
            cand -q 'Print the reference only'
            cand --quiet 'Print the reference only'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;rm'= {
            cand -f 'Also one that a VM uses, or that has names in several repositories'
            cand --force 'Also one that a VM uses, or that has names in several repositories'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mvm;image;remove'= {
            cand -f 'Also one that a VM uses, or that has names in several repositories'
            cand --force 'Also one that a VM uses, or that has names in several repositories'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mvm;image;tag'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;load'= {
            cand -i 'Read this file, in place of stdin (-)'
            cand --input 'Read this file, in place of stdin (-)'
            cand --platform 'Platform to choose from images for several: linux/amd64'
            cand -q 'Do not show how it goes on'
            cand --quiet 'Do not show how it goes on'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;save'= {
            cand -o 'Write to this file, in place of stdout'
            cand --output 'Write to this file, in place of stdout'
            cand --format 'Kind of archive; without this, one that readers of both kinds take'
            cand --platform 'Platform that the images must be for: linux/amd64'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;inspect'= {
            cand -f 'json, or a template such as ''{{.Config.Env}}'''
            cand --format 'json, or a template such as ''{{.Config.Env}}'''
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;history'= {
            cand --format 'table, json (one object for each line), or a template such as ''{{.ID}}'''
            cand -q 'IDs only'
            cand --quiet 'IDs only'
            cand --no-trunc 'Do not shorten what is long'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;prune'= {
            cand --filter 'until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]'
            cand -a 'All images that no VM uses'
            cand --all 'All images that no VM uses'
            cand -f 'Do not ask'
            cand --force 'Do not ask'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;image;verify'= {
            cand --format 'How to print what was found'
            cand --repair 'Make anew what can be made, and remove what cannot, so that `mvm pull` fetches it'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mvm;image;help'= {
            cand ls 'List images'
            cand pull 'Pull an image from a registry, or take one from a directory or an archive'
            cand push 'Push an image to a registry'
            cand rm 'Remove images'
            cand tag 'Give an image another name'
            cand load 'Load images from an archive (docker save, or a tar of an OCI layout)'
            cand save 'Save images to an archive'
            cand inspect 'Show all that is known of images'
            cand history 'Show how an image was built'
            cand prune 'Remove images without a name, and what ended pulls left'
            cand verify 'Check that images are what they were when they came'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mvm;image;help;ls'= {
        }
        &'mvm;image;help;pull'= {
        }
        &'mvm;image;help;push'= {
        }
        &'mvm;image;help;rm'= {
        }
        &'mvm;image;help;tag'= {
        }
        &'mvm;image;help;load'= {
        }
        &'mvm;image;help;save'= {
        }
        &'mvm;image;help;inspect'= {
        }
        &'mvm;image;help;history'= {
        }
        &'mvm;image;help;prune'= {
        }
        &'mvm;image;help;verify'= {
        }
        &'mvm;image;help;help'= {
        }
        &'mvm;system'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand check 'Check all that mvm keeps: images, their index, what VMs need'
            cand df 'Show how much of the disk is used'
            cand prune 'Remove stopped VMs, images without a name, and what ended pulls left'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mvm;system;check'= {
            cand --format 'How to print what was found'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mvm;system;df'= {
            cand --format 'table, json, or a template such as ''{{.Type}}: {{.Size}}'''
            cand -v 'By image and VM'
            cand --verbose 'By image and VM'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;system;prune'= {
            cand --filter 'until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]'
            cand -a 'All images that no VM uses, not only those without a name'
            cand --all 'All images that no VM uses, not only those without a name'
            cand --volumes 'Refused: mvm has no named volumes'
            cand -f 'Do not ask'
            cand --force 'Do not ask'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;system;help'= {
            cand check 'Check all that mvm keeps: images, their index, what VMs need'
            cand df 'Show how much of the disk is used'
            cand prune 'Remove stopped VMs, images without a name, and what ended pulls left'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mvm;system;help;check'= {
        }
        &'mvm;system;help;df'= {
        }
        &'mvm;system;help;prune'= {
        }
        &'mvm;system;help;help'= {
        }
        &'mvm;load'= {
            cand -i 'Read this file, in place of stdin (-)'
            cand --input 'Read this file, in place of stdin (-)'
            cand --platform 'Platform to choose from images for several: linux/amd64'
            cand -q 'Do not show how it goes on'
            cand --quiet 'Do not show how it goes on'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;save'= {
            cand -o 'Write to this file, in place of stdout'
            cand --output 'Write to this file, in place of stdout'
            cand --format 'Kind of archive; without this, one that readers of both kinds take'
            cand --platform 'Platform that the images must be for: linux/amd64'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;ps'= {
            cand -f 'id=REGEX, name=REGEX, label=KEY[=VALUE], status=STATUS, exited=CODE, ancestor=IMAGE, before=VM, since=VM, volume=PATH or network=NAME'
            cand --filter 'id=REGEX, name=REGEX, label=KEY[=VALUE], status=STATUS, exited=CODE, ancestor=IMAGE, before=VM, since=VM, volume=PATH or network=NAME'
            cand -n 'Only so many, the youngest, running or not'
            cand --last 'Only so many, the youngest, running or not'
            cand --format 'table, json (one object for each line), or a template such as ''{{.ID}}'''
            cand -a 'Also those that do not run'
            cand --all 'Also those that do not run'
            cand -l 'Only the youngest, running or not'
            cand --latest 'Only the youngest, running or not'
            cand -s 'Show how much of the disk they use'
            cand --size 'Show how much of the disk they use'
            cand -q 'IDs only'
            cand --quiet 'IDs only'
            cand --no-trunc 'Do not shorten what is long'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;logs'= {
            cand --since 'Lines from then on: 10m (ago), 2026-01-31T12:00:00Z, seconds since 1970'
            cand --until 'Lines until then'
            cand -n 'So many lines from the end, or all'
            cand --tail 'So many lines from the end, or all'
            cand -f 'Go on as the command writes, until it ends'
            cand --follow 'Go on as the command writes, until it ends'
            cand -t 'Put its time before each line'
            cand --timestamps 'Put its time before each line'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;rename'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;attach'= {
            cand --sig-proxy 'Pass signals on to the command; else they end this one alone'
            cand --detach-keys 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]'
            cand --no-stdin 'Leave its stdin alone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;stop'= {
            cand -s 'Signal to send first [default: --stop-signal, the image''s, or TERM]'
            cand --signal 'Signal to send first [default: --stop-signal, the image''s, or TERM]'
            cand -t 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]'
            cand --timeout 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;kill'= {
            cand -s 'Name or number of the signal'
            cand --signal 'Name or number of the signal'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;wait'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;inspect'= {
            cand -f 'json, or a template such as ''{{.State.Status}}'''
            cand --format 'json, or a template such as ''{{.State.Status}}'''
            cand --type 'Look among these only'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;rm'= {
            cand -f 'Kill those that run'
            cand --force 'Kill those that run'
            cand -v 'Remove its volumes, too: those without a name always go with their VM'
            cand --volumes 'Remove its volumes, too: those without a name always go with their VM'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;doctor'= {
            cand --format 'How to print the findings'
            cand --backend 'Hypervisor to ask about (also: MVM_BACKEND, config.toml) [default: auto]'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mvm;help'= {
            cand run 'Create a VM from an image and run a command in it'
            cand create 'Create a VM from an image, to be started later'
            cand start 'Start VMs that do not run, with the disks that they have'
            cand restart 'Stop VMs and start them again'
            cand exec 'Run another command in a running VM'
            cand pull 'Pull an image from a registry, or take one from a directory or an archive'
            cand push 'Push an image to a registry'
            cand login 'Log in to a registry'
            cand logout 'Log out from a registry'
            cand images 'List images'
            cand rmi 'Remove images'
            cand tag 'Give an image another name'
            cand history 'Show how an image was built'
            cand image 'Manage images'
            cand system 'Manage what mvm keeps on this machine'
            cand load 'Load images from an archive (docker save, or a tar of an OCI layout)'
            cand save 'Save images to an archive'
            cand ps 'List VMs'
            cand logs 'Show what the command of a VM has written'
            cand rename 'Give a VM another name'
            cand attach 'Take stdin, stdout and stderr of a running VM''s command'
            cand stop 'Stop running VMs'
            cand kill 'Send a signal to the commands of running VMs'
            cand wait 'Wait until VMs end, and print their exit codes'
            cand inspect 'Show all that is known of VMs or images'
            cand rm 'Remove VMs and their disks'
            cand doctor 'Check this host and say how to fix what is wrong'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mvm;help;run'= {
        }
        &'mvm;help;create'= {
        }
        &'mvm;help;start'= {
        }
        &'mvm;help;restart'= {
        }
        &'mvm;help;exec'= {
        }
        &'mvm;help;pull'= {
        }
        &'mvm;help;push'= {
        }
        &'mvm;help;login'= {
        }
        &'mvm;help;logout'= {
        }
        &'mvm;help;images'= {
        }
        &'mvm;help;rmi'= {
        }
        &'mvm;help;tag'= {
        }
        &'mvm;help;history'= {
        }
        &'mvm;help;image'= {
            cand ls 'List images'
            cand pull 'Pull an image from a registry, or take one from a directory or an archive'
            cand push 'Push an image to a registry'
            cand rm 'Remove images'
            cand tag 'Give an image another name'
            cand load 'Load images from an archive (docker save, or a tar of an OCI layout)'
            cand save 'Save images to an archive'
            cand inspect 'Show all that is known of images'
            cand history 'Show how an image was built'
            cand prune 'Remove images without a name, and what ended pulls left'
            cand verify 'Check that images are what they were when they came'
        }
        &'mvm;help;image;ls'= {
        }
        &'mvm;help;image;pull'= {
        }
        &'mvm;help;image;push'= {
        }
        &'mvm;help;image;rm'= {
        }
        &'mvm;help;image;tag'= {
        }
        &'mvm;help;image;load'= {
        }
        &'mvm;help;image;save'= {
        }
        &'mvm;help;image;inspect'= {
        }
        &'mvm;help;image;history'= {
        }
        &'mvm;help;image;prune'= {
        }
        &'mvm;help;image;verify'= {
        }
        &'mvm;help;system'= {
            cand check 'Check all that mvm keeps: images, their index, what VMs need'
            cand df 'Show how much of the disk is used'
            cand prune 'Remove stopped VMs, images without a name, and what ended pulls left'
        }
        &'mvm;help;system;check'= {
        }
        &'mvm;help;system;df'= {
        }
        &'mvm;help;system;prune'= {
        }
        &'mvm;help;load'= {
        }
        &'mvm;help;save'= {
        }
        &'mvm;help;ps'= {
        }
        &'mvm;help;logs'= {
        }
        &'mvm;help;rename'= {
        }
        &'mvm;help;attach'= {
        }
        &'mvm;help;stop'= {
        }
        &'mvm;help;kill'= {
        }
        &'mvm;help;wait'= {
        }
        &'mvm;help;inspect'= {
        }
        &'mvm;help;rm'= {
        }
        &'mvm;help;doctor'= {
        }
        &'mvm;help;help'= {
        }
    ]
    $completions[$command]
}
