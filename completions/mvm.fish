# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mvm_global_optspecs
    string join \n v/verbose h/help V/version
end

function __fish_mvm_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mvm_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mvm_using_subcommand
    set -l cmd (__fish_mvm_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mvm -n "__fish_mvm_needs_command" -s v -l verbose -d 'Say where the time goes; twice: say what is done'
complete -c mvm -n "__fish_mvm_needs_command" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_needs_command" -s V -l version -d 'Print version'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "run" -d 'Create a VM from an image and run a command in it'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "create" -d 'Create a VM from an image, to be started later'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "start" -d 'Start VMs that do not run, with the disks that they have'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "restart" -d 'Stop VMs and start them again'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "exec" -d 'Run another command in a running VM'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "pull" -d 'Pull an image from a registry, or take one from a directory or an archive'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "push" -d 'Push an image to a registry'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "login" -d 'Log in to a registry'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "logout" -d 'Log out from a registry'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "images" -d 'List images'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "rmi" -d 'Remove images'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "tag" -d 'Give an image another name'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "history" -d 'Show how an image was built'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "image" -d 'Manage images'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "system" -d 'Manage what mvm keeps on this machine'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "load" -d 'Load images from an archive (docker save, or a tar of an OCI layout)'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "save" -d 'Save images to an archive'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "ps" -d 'List VMs'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "logs" -d 'Show what the command of a VM has written'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "rename" -d 'Give a VM another name'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "attach" -d 'Take stdin, stdout and stderr of a running VM\'s command'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "stop" -d 'Stop running VMs'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "kill" -d 'Send a signal to the commands of running VMs'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "wait" -d 'Wait until VMs end, and print their exit codes'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "inspect" -d 'Show all that is known of VMs or images'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "rm" -d 'Remove VMs and their disks'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "doctor" -d 'Check this host and say how to fix what is wrong'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mvm -n "__fish_mvm_using_subcommand run" -s a -l attach -d 'Take only these streams of the command; stdin too with -i' -r -f -a "stdin\t''
stdout\t''
stderr\t''"
complete -c mvm -n "__fish_mvm_using_subcommand run" -l sig-proxy -d 'Pass signals on to the command; else they end this one alone' -r -f -a "true\t''
false\t''"
complete -c mvm -n "__fish_mvm_using_subcommand run" -l detach-keys -d 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cidfile -d 'Write the VM\'s ID to a file' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand run" -s e -l env -d 'Set a variable; with no value, to what it is here' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -s v -l volume -d 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l mount -d 'The same in words: type=bind,source=/on/host,target=/in/vm[,readonly], or type=tmpfs,target=/in/vm' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -s w -l workdir -d 'Working directory in the VM' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -s u -l user -d 'User, and group, of the command: names or numbers' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l entrypoint -d 'Program to run in place of the image\'s entrypoint' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l name -d 'Name of the VM, in place of a random one' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -s h -l hostname -d 'Host name in the VM, in place of its short ID' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cpus -d 'CPUs; a fraction limits the command\'s share of the last one' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -s m -l memory -d 'RAM in MiB, or with a unit: 512m, 2g' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l disk -d 'Largest size of the VM\'s own disk; takes space only as it fills' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l network -d 'Network: none, or user (reaches out, and the host\'s loopback too)' -r -f -a "none\t''
user\t''"
complete -c mvm -n "__fish_mvm_using_subcommand run" -l pull -d 'When to pull the image' -r -f -a "missing\t''
always\t''
never\t''"
complete -c mvm -n "__fish_mvm_using_subcommand run" -l platform -d 'Platform to choose from an image for several: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l kernel -d 'Guest kernel to boot (also: MVM_KERNEL)' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand run" -l stop-signal -d 'Signal with which `mvm stop` asks the command to end' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l stop-timeout -d 'Seconds that `mvm stop` gives it then, -1 for ever' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l boot-timeout -d 'Seconds that the guest may take to boot [default: 30; emulated: 180]' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l backend -d 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]' -r -f -a "auto\t'libkrun where the host runs guests in hardware, else QEMU'
libkrun\t''
qemu\t''"
complete -c mvm -n "__fish_mvm_using_subcommand run" -l pids-limit -d 'Processes and threads there can be, -1 for as many as fit' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l ulimit -d 'Limit of setrlimit(2), -1 for none: nofile=1024:4096' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l shm-size -d 'Size of /dev/shm in bytes, or with a unit [default: 64m]' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l tmpfs -d 'Mount a file system in memory: /run:size=10m,mode=755,exec' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l add-host -d 'Line of /etc/hosts; host-gateway is the host\'s address' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l dns -d 'Name server, in place of the network\'s' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l dns-search -d 'Domain to look names up in, "." for none' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l dns-option -l dns-opt -d 'Option of resolv.conf(5)' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l env-file -d 'Set variables from a file, a NAME[=VALUE] a line; -e wins' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand run" -s l -l label -d 'Label the VM' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l label-file -d 'Label the VM from a file, a NAME[=VALUE] a line' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand run" -l group-add -d 'Further group of the command, name or number' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l sysctl -d 'Set a parameter of the VM\'s kernel' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cap-add -d 'Give the command a capability, or ALL' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cap-drop -d 'Take a capability from the command, or ALL' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l device -d 'Device of the VM\'s kernel: /dev/fuse, /dev/net/tun' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l security-opt -d 'no-new-privileges[=false], systempaths=unconfined' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l device-cgroup-rule -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l storage-opt -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l gpus -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l ipc -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l pid -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l uts -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l userns -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cgroupns -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cgroup-parent -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l memory-swap -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l memory-swappiness -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l memory-reservation -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l oom-score-adj -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cpu-shares -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cpu-period -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cpu-quota -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cpuset-cpus -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l cpuset-mems -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l blkio-weight -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l runtime -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l isolation -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l log-driver -d 'Whether the output is kept for `mvm logs`' -r -f -a "local\t'In files of mvm\'s own'
none\t'Nowhere'"
complete -c mvm -n "__fish_mvm_using_subcommand run" -l log-opt -d 'How much of it: max-size=SIZE of a file, max-file=NUMBER of them' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -s d -l detach -d 'Run in the background and print the VM\'s ID'
complete -c mvm -n "__fish_mvm_using_subcommand run" -s i -l interactive -d 'Pass stdin to the command'
complete -c mvm -n "__fish_mvm_using_subcommand run" -s t -l tty -d 'Give the command a terminal'
complete -c mvm -n "__fish_mvm_using_subcommand run" -l rm -d 'Remove the VM when it ends, however it ends'
complete -c mvm -n "__fish_mvm_using_subcommand run" -s q -l quiet -d 'Do not show how the pull goes on'
complete -c mvm -n "__fish_mvm_using_subcommand run" -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand run" -l read-only -d 'Make the root read-only'
complete -c mvm -n "__fish_mvm_using_subcommand run" -l privileged -d 'Let the command do all that the VM can do'
complete -c mvm -n "__fish_mvm_using_subcommand run" -l init -d 'Accepted: the first process of a VM always reaps orphans'
complete -c mvm -n "__fish_mvm_using_subcommand run" -l oom-kill-disable
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cidfile -d 'Write the VM\'s ID to a file' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand create" -s e -l env -d 'Set a variable; with no value, to what it is here' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -s v -l volume -d 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l mount -d 'The same in words: type=bind,source=/on/host,target=/in/vm[,readonly], or type=tmpfs,target=/in/vm' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -s w -l workdir -d 'Working directory in the VM' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -s u -l user -d 'User, and group, of the command: names or numbers' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l entrypoint -d 'Program to run in place of the image\'s entrypoint' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l name -d 'Name of the VM, in place of a random one' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -s h -l hostname -d 'Host name in the VM, in place of its short ID' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cpus -d 'CPUs; a fraction limits the command\'s share of the last one' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -s m -l memory -d 'RAM in MiB, or with a unit: 512m, 2g' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l disk -d 'Largest size of the VM\'s own disk; takes space only as it fills' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l network -d 'Network: none, or user (reaches out, and the host\'s loopback too)' -r -f -a "none\t''
user\t''"
complete -c mvm -n "__fish_mvm_using_subcommand create" -l pull -d 'When to pull the image' -r -f -a "missing\t''
always\t''
never\t''"
complete -c mvm -n "__fish_mvm_using_subcommand create" -l platform -d 'Platform to choose from an image for several: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l kernel -d 'Guest kernel to boot (also: MVM_KERNEL)' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand create" -l stop-signal -d 'Signal with which `mvm stop` asks the command to end' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l stop-timeout -d 'Seconds that `mvm stop` gives it then, -1 for ever' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l boot-timeout -d 'Seconds that the guest may take to boot [default: 30; emulated: 180]' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l backend -d 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]' -r -f -a "auto\t'libkrun where the host runs guests in hardware, else QEMU'
libkrun\t''
qemu\t''"
complete -c mvm -n "__fish_mvm_using_subcommand create" -l pids-limit -d 'Processes and threads there can be, -1 for as many as fit' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l ulimit -d 'Limit of setrlimit(2), -1 for none: nofile=1024:4096' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l shm-size -d 'Size of /dev/shm in bytes, or with a unit [default: 64m]' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l tmpfs -d 'Mount a file system in memory: /run:size=10m,mode=755,exec' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l add-host -d 'Line of /etc/hosts; host-gateway is the host\'s address' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l dns -d 'Name server, in place of the network\'s' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l dns-search -d 'Domain to look names up in, "." for none' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l dns-option -l dns-opt -d 'Option of resolv.conf(5)' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l env-file -d 'Set variables from a file, a NAME[=VALUE] a line; -e wins' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand create" -s l -l label -d 'Label the VM' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l label-file -d 'Label the VM from a file, a NAME[=VALUE] a line' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand create" -l group-add -d 'Further group of the command, name or number' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l sysctl -d 'Set a parameter of the VM\'s kernel' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cap-add -d 'Give the command a capability, or ALL' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cap-drop -d 'Take a capability from the command, or ALL' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l device -d 'Device of the VM\'s kernel: /dev/fuse, /dev/net/tun' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l security-opt -d 'no-new-privileges[=false], systempaths=unconfined' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l device-cgroup-rule -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l storage-opt -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l gpus -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l ipc -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l pid -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l uts -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l userns -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cgroupns -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cgroup-parent -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l memory-swap -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l memory-swappiness -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l memory-reservation -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l oom-score-adj -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cpu-shares -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cpu-period -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cpu-quota -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cpuset-cpus -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l cpuset-mems -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l blkio-weight -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l runtime -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l isolation -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -l log-driver -d 'Whether the output is kept for `mvm logs`' -r -f -a "local\t'In files of mvm\'s own'
none\t'Nowhere'"
complete -c mvm -n "__fish_mvm_using_subcommand create" -l log-opt -d 'How much of it: max-size=SIZE of a file, max-file=NUMBER of them' -r
complete -c mvm -n "__fish_mvm_using_subcommand create" -s i -l interactive -d 'Pass stdin to the command'
complete -c mvm -n "__fish_mvm_using_subcommand create" -s t -l tty -d 'Give the command a terminal'
complete -c mvm -n "__fish_mvm_using_subcommand create" -l rm -d 'Remove the VM when it ends, however it ends'
complete -c mvm -n "__fish_mvm_using_subcommand create" -s q -l quiet -d 'Do not show how the pull goes on'
complete -c mvm -n "__fish_mvm_using_subcommand create" -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand create" -l read-only -d 'Make the root read-only'
complete -c mvm -n "__fish_mvm_using_subcommand create" -l privileged -d 'Let the command do all that the VM can do'
complete -c mvm -n "__fish_mvm_using_subcommand create" -l init -d 'Accepted: the first process of a VM always reaps orphans'
complete -c mvm -n "__fish_mvm_using_subcommand create" -l oom-kill-disable
complete -c mvm -n "__fish_mvm_using_subcommand start" -l detach-keys -d 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]' -r
complete -c mvm -n "__fish_mvm_using_subcommand start" -s a -l attach -d 'Stay, show its output, pass on signals, and exit with its status'
complete -c mvm -n "__fish_mvm_using_subcommand start" -s i -l interactive -d 'Pass stdin to the command, if it was made with -i; implies --attach'
complete -c mvm -n "__fish_mvm_using_subcommand start" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand restart" -s s -l signal -d 'Signal to send first [default: --stop-signal, the image\'s, or TERM]' -r
complete -c mvm -n "__fish_mvm_using_subcommand restart" -s t -l timeout -d 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]' -r
complete -c mvm -n "__fish_mvm_using_subcommand restart" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand exec" -s e -l env -d 'Set a variable; with no value, to what it is here' -r
complete -c mvm -n "__fish_mvm_using_subcommand exec" -l env-file -d 'Set variables from a file, a NAME[=VALUE] a line; -e wins' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand exec" -s w -l workdir -d 'Working directory in the VM [default: the VM\'s command\'s]' -r
complete -c mvm -n "__fish_mvm_using_subcommand exec" -s u -l user -d 'User, and group: names or numbers [default: the VM\'s command\'s]' -r
complete -c mvm -n "__fish_mvm_using_subcommand exec" -l detach-keys -d 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]' -r
complete -c mvm -n "__fish_mvm_using_subcommand exec" -s i -l interactive -d 'Pass stdin to the command'
complete -c mvm -n "__fish_mvm_using_subcommand exec" -s t -l tty -d 'Give the command a terminal'
complete -c mvm -n "__fish_mvm_using_subcommand exec" -s d -l detach -d 'Leave the command when it has started'
complete -c mvm -n "__fish_mvm_using_subcommand exec" -l privileged -d 'With every right in the VM'
complete -c mvm -n "__fish_mvm_using_subcommand exec" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand pull" -l platform -d 'Platform to choose from an image for several: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand pull" -l disable-content-trust -d 'Docker\'s; there is no content trust to disable' -r -f -a "true\t''
false\t''"
complete -c mvm -n "__fish_mvm_using_subcommand pull" -s q -l quiet -d 'Print the reference only'
complete -c mvm -n "__fish_mvm_using_subcommand pull" -s a -l all-tags -d 'Docker\'s; images are pulled one at a time'
complete -c mvm -n "__fish_mvm_using_subcommand pull" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand push" -s a -l all-tags -d 'Push all tags of the repository'
complete -c mvm -n "__fish_mvm_using_subcommand push" -s q -l quiet -d 'Print the reference only'
complete -c mvm -n "__fish_mvm_using_subcommand push" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand login" -s u -l username -d 'User name' -r
complete -c mvm -n "__fish_mvm_using_subcommand login" -s p -l password -d 'Docker\'s flag, refused: other users see command lines' -r
complete -c mvm -n "__fish_mvm_using_subcommand login" -l password-stdin -d 'Read the password from stdin'
complete -c mvm -n "__fish_mvm_using_subcommand login" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand logout" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand images" -s f -l filter -d 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME' -r
complete -c mvm -n "__fish_mvm_using_subcommand images" -l format -d 'table, json (one object for each line), or a template such as \'{{.ID}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand images" -s a -l all -d 'All images; there are none that only others are built on'
complete -c mvm -n "__fish_mvm_using_subcommand images" -l digests -d 'Show digests'
complete -c mvm -n "__fish_mvm_using_subcommand images" -s q -l quiet -d 'IDs only'
complete -c mvm -n "__fish_mvm_using_subcommand images" -l no-trunc -d 'Do not shorten what is long'
complete -c mvm -n "__fish_mvm_using_subcommand images" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand rmi" -s f -l force -d 'Also one that a VM uses, or that has names in several repositories'
complete -c mvm -n "__fish_mvm_using_subcommand rmi" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand tag" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand history" -l format -d 'table, json (one object for each line), or a template such as \'{{.ID}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand history" -s q -l quiet -d 'IDs only'
complete -c mvm -n "__fish_mvm_using_subcommand history" -l no-trunc -d 'Do not shorten what is long'
complete -c mvm -n "__fish_mvm_using_subcommand history" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "ls" -d 'List images'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "list" -d 'List images'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "pull" -d 'Pull an image from a registry, or take one from a directory or an archive'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "push" -d 'Push an image to a registry'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "rm" -d 'Remove images'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "remove" -d 'Remove images'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "tag" -d 'Give an image another name'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "load" -d 'Load images from an archive (docker save, or a tar of an OCI layout)'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "save" -d 'Save images to an archive'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "inspect" -d 'Show all that is known of images'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "history" -d 'Show how an image was built'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "prune" -d 'Remove images without a name, and what ended pulls left'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "verify" -d 'Check that images are what they were when they came'
complete -c mvm -n "__fish_mvm_using_subcommand image; and not __fish_seen_subcommand_from ls list pull push rm remove tag load save inspect history prune verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from ls" -s f -l filter -d 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from ls" -l format -d 'table, json (one object for each line), or a template such as \'{{.ID}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from ls" -s a -l all -d 'All images; there are none that only others are built on'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from ls" -l digests -d 'Show digests'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'IDs only'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Do not shorten what is long'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from list" -s f -l filter -d 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from list" -l format -d 'table, json (one object for each line), or a template such as \'{{.ID}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from list" -s a -l all -d 'All images; there are none that only others are built on'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from list" -l digests -d 'Show digests'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from list" -s q -l quiet -d 'IDs only'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from list" -l no-trunc -d 'Do not shorten what is long'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from pull" -l platform -d 'Platform to choose from an image for several: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from pull" -l disable-content-trust -d 'Docker\'s; there is no content trust to disable' -r -f -a "true\t''
false\t''"
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from pull" -s q -l quiet -d 'Print the reference only'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from pull" -s a -l all-tags -d 'Docker\'s; images are pulled one at a time'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from pull" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from push" -s a -l all-tags -d 'Push all tags of the repository'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Print the reference only'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from push" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from rm" -s f -l force -d 'Also one that a VM uses, or that has names in several repositories'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from remove" -s f -l force -d 'Also one that a VM uses, or that has names in several repositories'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from tag" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from load" -s i -l input -d 'Read this file, in place of stdin (-)' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from load" -l platform -d 'Platform to choose from images for several: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from load" -s q -l quiet -d 'Do not show how it goes on'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from load" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from save" -s o -l output -d 'Write to this file, in place of stdout' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from save" -l format -d 'Kind of archive; without this, one that readers of both kinds take' -r -f -a "docker-archive\t''
oci-archive\t''"
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from save" -l platform -d 'Platform that the images must be for: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from save" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from inspect" -s f -l format -d 'json, or a template such as \'{{.Config.Env}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from history" -l format -d 'table, json (one object for each line), or a template such as \'{{.ID}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from history" -s q -l quiet -d 'IDs only'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from history" -l no-trunc -d 'Do not shorten what is long'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from prune" -l filter -d 'until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]' -r
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from prune" -s a -l all -d 'All images that no VM uses'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from verify" -l format -d 'How to print what was found' -r -f -a "table\t''
json\t'One JSON object for each line'"
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from verify" -l repair -d 'Make anew what can be made, and remove what cannot, so that `mvm pull` fetches it'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List images'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "pull" -d 'Pull an image from a registry, or take one from a directory or an archive'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "push" -d 'Push an image to a registry'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove images'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "tag" -d 'Give an image another name'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "load" -d 'Load images from an archive (docker save, or a tar of an OCI layout)'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "save" -d 'Save images to an archive'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show all that is known of images'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "history" -d 'Show how an image was built'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove images without a name, and what ended pulls left'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check that images are what they were when they came'
complete -c mvm -n "__fish_mvm_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mvm -n "__fish_mvm_using_subcommand system; and not __fish_seen_subcommand_from check df prune help" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand system; and not __fish_seen_subcommand_from check df prune help" -f -a "check" -d 'Check all that mvm keeps: images, their index, what VMs need'
complete -c mvm -n "__fish_mvm_using_subcommand system; and not __fish_seen_subcommand_from check df prune help" -f -a "df" -d 'Show how much of the disk is used'
complete -c mvm -n "__fish_mvm_using_subcommand system; and not __fish_seen_subcommand_from check df prune help" -f -a "prune" -d 'Remove stopped VMs, images without a name, and what ended pulls left'
complete -c mvm -n "__fish_mvm_using_subcommand system; and not __fish_seen_subcommand_from check df prune help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from check" -l format -d 'How to print what was found' -r -f -a "table\t''
json\t'One JSON object for each line'"
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from df" -l format -d 'table, json, or a template such as \'{{.Type}}: {{.Size}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from df" -s v -l verbose -d 'By image and VM'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from df" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from prune" -l filter -d 'until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]' -r
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from prune" -s a -l all -d 'All images that no VM uses, not only those without a name'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from prune" -l volumes -d 'Refused: mvm has no named volumes'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check all that mvm keeps: images, their index, what VMs need'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "df" -d 'Show how much of the disk is used'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove stopped VMs, images without a name, and what ended pulls left'
complete -c mvm -n "__fish_mvm_using_subcommand system; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mvm -n "__fish_mvm_using_subcommand load" -s i -l input -d 'Read this file, in place of stdin (-)' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand load" -l platform -d 'Platform to choose from images for several: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand load" -s q -l quiet -d 'Do not show how it goes on'
complete -c mvm -n "__fish_mvm_using_subcommand load" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand save" -s o -l output -d 'Write to this file, in place of stdout' -r -F
complete -c mvm -n "__fish_mvm_using_subcommand save" -l format -d 'Kind of archive; without this, one that readers of both kinds take' -r -f -a "docker-archive\t''
oci-archive\t''"
complete -c mvm -n "__fish_mvm_using_subcommand save" -l platform -d 'Platform that the images must be for: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand save" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s f -l filter -d 'id=REGEX, name=REGEX, label=KEY[=VALUE], status=STATUS, exited=CODE, ancestor=IMAGE, before=VM, since=VM, volume=PATH or network=NAME' -r
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s n -l last -d 'Only so many, the youngest, running or not' -r
complete -c mvm -n "__fish_mvm_using_subcommand ps" -l format -d 'table, json (one object for each line), or a template such as \'{{.ID}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s a -l all -d 'Also those that do not run'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s l -l latest -d 'Only the youngest, running or not'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s s -l size -d 'Show how much of the disk they use'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s q -l quiet -d 'IDs only'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -l no-trunc -d 'Do not shorten what is long'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand logs" -l since -d 'Lines from then on: 10m (ago), 2026-01-31T12:00:00Z, seconds since 1970' -r
complete -c mvm -n "__fish_mvm_using_subcommand logs" -l until -d 'Lines until then' -r
complete -c mvm -n "__fish_mvm_using_subcommand logs" -s n -l tail -d 'So many lines from the end, or all' -r
complete -c mvm -n "__fish_mvm_using_subcommand logs" -s f -l follow -d 'Go on as the command writes, until it ends'
complete -c mvm -n "__fish_mvm_using_subcommand logs" -s t -l timestamps -d 'Put its time before each line'
complete -c mvm -n "__fish_mvm_using_subcommand logs" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand rename" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand attach" -l sig-proxy -d 'Pass signals on to the command; else they end this one alone' -r -f -a "true\t''
false\t''"
complete -c mvm -n "__fish_mvm_using_subcommand attach" -l detach-keys -d 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]' -r
complete -c mvm -n "__fish_mvm_using_subcommand attach" -l no-stdin -d 'Leave its stdin alone'
complete -c mvm -n "__fish_mvm_using_subcommand attach" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand stop" -s s -l signal -d 'Signal to send first [default: --stop-signal, the image\'s, or TERM]' -r
complete -c mvm -n "__fish_mvm_using_subcommand stop" -s t -l timeout -d 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]' -r
complete -c mvm -n "__fish_mvm_using_subcommand stop" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand kill" -s s -l signal -d 'Name or number of the signal' -r
complete -c mvm -n "__fish_mvm_using_subcommand kill" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand wait" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand inspect" -s f -l format -d 'json, or a template such as \'{{.State.Status}}\'' -r
complete -c mvm -n "__fish_mvm_using_subcommand inspect" -l type -d 'Look among these only' -r -f -a "vm\t''
image\t''"
complete -c mvm -n "__fish_mvm_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand rm" -s f -l force -d 'Kill those that run'
complete -c mvm -n "__fish_mvm_using_subcommand rm" -s v -l volumes -d 'Remove its volumes, too: those without a name always go with their VM'
complete -c mvm -n "__fish_mvm_using_subcommand rm" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand doctor" -l format -d 'How to print the findings' -r -f -a "table\t''
json\t'One JSON object for each line'"
complete -c mvm -n "__fish_mvm_using_subcommand doctor" -l backend -d 'Hypervisor to ask about (also: MVM_BACKEND, config.toml) [default: auto]' -r -f -a "auto\t'libkrun where the host runs guests in hardware, else QEMU'
libkrun\t''
qemu\t''"
complete -c mvm -n "__fish_mvm_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "run" -d 'Create a VM from an image and run a command in it'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "create" -d 'Create a VM from an image, to be started later'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "start" -d 'Start VMs that do not run, with the disks that they have'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "restart" -d 'Stop VMs and start them again'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "exec" -d 'Run another command in a running VM'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "pull" -d 'Pull an image from a registry, or take one from a directory or an archive'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "push" -d 'Push an image to a registry'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "login" -d 'Log in to a registry'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "logout" -d 'Log out from a registry'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "images" -d 'List images'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "rmi" -d 'Remove images'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "tag" -d 'Give an image another name'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "history" -d 'Show how an image was built'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "image" -d 'Manage images'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "system" -d 'Manage what mvm keeps on this machine'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "load" -d 'Load images from an archive (docker save, or a tar of an OCI layout)'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "save" -d 'Save images to an archive'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "ps" -d 'List VMs'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "logs" -d 'Show what the command of a VM has written'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "rename" -d 'Give a VM another name'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "attach" -d 'Take stdin, stdout and stderr of a running VM\'s command'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "stop" -d 'Stop running VMs'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "kill" -d 'Send a signal to the commands of running VMs'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "wait" -d 'Wait until VMs end, and print their exit codes'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "inspect" -d 'Show all that is known of VMs or images'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "rm" -d 'Remove VMs and their disks'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "doctor" -d 'Check this host and say how to fix what is wrong'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run create start restart exec pull push login logout images rmi tag history image system load save ps logs rename attach stop kill wait inspect rm doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "ls" -d 'List images'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "pull" -d 'Pull an image from a registry, or take one from a directory or an archive'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "push" -d 'Push an image to a registry'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "rm" -d 'Remove images'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "tag" -d 'Give an image another name'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "load" -d 'Load images from an archive (docker save, or a tar of an OCI layout)'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "save" -d 'Save images to an archive'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "inspect" -d 'Show all that is known of images'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "history" -d 'Show how an image was built'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "prune" -d 'Remove images without a name, and what ended pulls left'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "verify" -d 'Check that images are what they were when they came'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from system" -f -a "check" -d 'Check all that mvm keeps: images, their index, what VMs need'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from system" -f -a "df" -d 'Show how much of the disk is used'
complete -c mvm -n "__fish_mvm_using_subcommand help; and __fish_seen_subcommand_from system" -f -a "prune" -d 'Remove stopped VMs, images without a name, and what ended pulls left'
