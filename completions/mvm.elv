
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
            cand pull 'Pull an image from a registry'
            cand images 'List images'
            cand ps 'List VMs'
            cand stop 'Stop running VMs'
            cand rm 'Remove VMs and their disks'
            cand doctor 'Check this host and say how to fix what is wrong'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mvm;run'= {
            cand -e 'Set a variable; with no value, to what it is here'
            cand --env 'Set a variable; with no value, to what it is here'
            cand -v 'Share a directory: -v /on/host:/in/vm[:ro]'
            cand --volume 'Share a directory: -v /on/host:/in/vm[:ro]'
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
            cand --boot-timeout 'Seconds that the guest may take to boot [default: 30; emulated: 180]'
            cand --backend 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]'
            cand -i 'Pass stdin to the command'
            cand --interactive 'Pass stdin to the command'
            cand --rm 'Remove the VM when it ends, however it ends'
            cand -q 'Do not show how the pull goes on'
            cand --quiet 'Do not show how the pull goes on'
            cand --help 'Print help'
        }
        &'mvm;pull'= {
            cand --platform 'Platform to choose from an image for several: linux/amd64'
            cand -q 'Print the reference only'
            cand --quiet 'Print the reference only'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;images'= {
            cand --format 'format'
            cand -q 'IDs only'
            cand --quiet 'IDs only'
            cand --no-trunc 'Do not shorten IDs'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mvm;ps'= {
            cand --format 'format'
            cand -a 'Also those that do not run'
            cand --all 'Also those that do not run'
            cand -q 'IDs only'
            cand --quiet 'IDs only'
            cand --no-trunc 'Do not shorten IDs and commands'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mvm;stop'= {
            cand -t 'Seconds from SIGTERM to SIGKILL'
            cand --time 'Seconds from SIGTERM to SIGKILL'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mvm;rm'= {
            cand -f 'Kill those that run'
            cand --force 'Kill those that run'
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
            cand pull 'Pull an image from a registry'
            cand images 'List images'
            cand ps 'List VMs'
            cand stop 'Stop running VMs'
            cand rm 'Remove VMs and their disks'
            cand doctor 'Check this host and say how to fix what is wrong'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mvm;help;run'= {
        }
        &'mvm;help;pull'= {
        }
        &'mvm;help;images'= {
        }
        &'mvm;help;ps'= {
        }
        &'mvm;help;stop'= {
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
