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
complete -c mvm -n "__fish_mvm_needs_command" -f -a "pull" -d 'Pull an image from a registry'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "images" -d 'List images'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "ps" -d 'List VMs'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "stop" -d 'Stop running VMs'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "rm" -d 'Remove VMs and their disks'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "doctor" -d 'Check this host and say how to fix what is wrong'
complete -c mvm -n "__fish_mvm_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mvm -n "__fish_mvm_using_subcommand run" -s e -l env -d 'Set a variable; with no value, to what it is here' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -s v -l volume -d 'Share a directory: -v /on/host:/in/vm[:ro]' -r
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
complete -c mvm -n "__fish_mvm_using_subcommand run" -l boot-timeout -d 'Seconds that the guest may take to boot [default: 30; emulated: 180]' -r
complete -c mvm -n "__fish_mvm_using_subcommand run" -l backend -d 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]' -r -f -a "auto\t'libkrun where the host runs guests in hardware, else QEMU'
libkrun\t''
qemu\t''"
complete -c mvm -n "__fish_mvm_using_subcommand run" -s i -l interactive -d 'Pass stdin to the command'
complete -c mvm -n "__fish_mvm_using_subcommand run" -l rm -d 'Remove the VM when it ends, however it ends'
complete -c mvm -n "__fish_mvm_using_subcommand run" -s q -l quiet -d 'Do not show how the pull goes on'
complete -c mvm -n "__fish_mvm_using_subcommand run" -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand pull" -l platform -d 'Platform to choose from an image for several: linux/amd64' -r
complete -c mvm -n "__fish_mvm_using_subcommand pull" -s q -l quiet -d 'Print the reference only'
complete -c mvm -n "__fish_mvm_using_subcommand pull" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand images" -l format -r -f -a "table\t''
json\t'One JSON object for each line'"
complete -c mvm -n "__fish_mvm_using_subcommand images" -s q -l quiet -d 'IDs only'
complete -c mvm -n "__fish_mvm_using_subcommand images" -l no-trunc -d 'Do not shorten IDs'
complete -c mvm -n "__fish_mvm_using_subcommand images" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -l format -r -f -a "table\t''
json\t'One JSON object for each line'"
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s a -l all -d 'Also those that do not run'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s q -l quiet -d 'IDs only'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -l no-trunc -d 'Do not shorten IDs and commands'
complete -c mvm -n "__fish_mvm_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand stop" -s t -l time -d 'Seconds from SIGTERM to SIGKILL' -r
complete -c mvm -n "__fish_mvm_using_subcommand stop" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand rm" -s f -l force -d 'Kill those that run'
complete -c mvm -n "__fish_mvm_using_subcommand rm" -s h -l help -d 'Print help'
complete -c mvm -n "__fish_mvm_using_subcommand doctor" -l format -d 'How to print the findings' -r -f -a "table\t''
json\t'One JSON object for each line'"
complete -c mvm -n "__fish_mvm_using_subcommand doctor" -l backend -d 'Hypervisor to ask about (also: MVM_BACKEND, config.toml) [default: auto]' -r -f -a "auto\t'libkrun where the host runs guests in hardware, else QEMU'
libkrun\t''
qemu\t''"
complete -c mvm -n "__fish_mvm_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run pull images ps stop rm doctor help" -f -a "run" -d 'Create a VM from an image and run a command in it'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run pull images ps stop rm doctor help" -f -a "pull" -d 'Pull an image from a registry'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run pull images ps stop rm doctor help" -f -a "images" -d 'List images'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run pull images ps stop rm doctor help" -f -a "ps" -d 'List VMs'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run pull images ps stop rm doctor help" -f -a "stop" -d 'Stop running VMs'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run pull images ps stop rm doctor help" -f -a "rm" -d 'Remove VMs and their disks'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run pull images ps stop rm doctor help" -f -a "doctor" -d 'Check this host and say how to fix what is wrong'
complete -c mvm -n "__fish_mvm_using_subcommand help; and not __fish_seen_subcommand_from run pull images ps stop rm doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
