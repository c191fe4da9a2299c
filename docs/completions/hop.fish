# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_hop_global_optspecs
    string join \n h/help V/version
end

function __fish_hop_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_hop_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_hop_using_subcommand
    set -l cmd (__fish_hop_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c hop -n "__fish_hop_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_needs_command" -s V -l version -d 'Print version'
complete -c hop -n "__fish_hop_needs_command" -f -a "up" -d 'Start a project for yourself and print the ssh line that opens it'
complete -c hop -n "__fish_hop_needs_command" -f -a "endpoint" -d 'Serve SSH for one environment: shell, commands, SFTP, forwardings'
complete -c hop -n "__fish_hop_needs_command" -f -a "sftp-server" -d 'Serve SFTP on standard input and output, as OpenSSH\'s sftp-server'
complete -c hop -n "__fish_hop_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c hop -n "__fish_hop_needs_command" -f -a "man" -d 'Write the manual pages into a directory'
complete -c hop -n "__fish_hop_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand up" -l data -d 'Where keys and settings are kept' -r -F
complete -c hop -n "__fish_hop_using_subcommand up" -l ssh -d 'Address and port for SSH; port 0 takes any free one' -r
complete -c hop -n "__fish_hop_using_subcommand up" -l add-keys -d 'Whether the public keys in ~/.ssh may open the project; asked on a terminal when not given' -r -f -a "yes\t''
no\t''"
complete -c hop -n "__fish_hop_using_subcommand up" -l json -d 'Print one line of JSON instead of text'
complete -c hop -n "__fish_hop_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l listen -d 'Listen on this address and port; port 0 takes any free one; may be given several times' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l unix -d 'Listen on a Unix socket that only this user can connect to' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l host-key -d 'Private host key; FILE-cert.pub beside it is its certificate; made and kept when none is given' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l host-key-dir -d 'Where host keys are kept that are made here [default: ~/.local/share/hop/host-keys]' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l authorized-keys -d 'Who may log in, in the format of sshd' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l trusted-user-ca -d 'CA whose user certificates are accepted; one public key in a line' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l revoked-keys -d 'Revoked keys and certificates: a KRL or a list of public keys' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l user -d 'Name that may be logged in as; all mean the same account [default: this user\'s name]' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l algorithms -d 'Which algorithms are offered' -r -f -a "default\t'What no current audit objects to'
compatible\t'Also ECDH and ECDSA on NIST curves and plain HMAC-SHA2, for older peers'"
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l login-grace-time -d 'Time for logging in' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l max-auth-tries -d 'Failed signatures before a connection is ended; keys that are only asked about do not count' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l max-startups -d 'Connections that may be logging in at once; more wait' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l max-sessions -d 'Sessions at once on one connection' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l idle-time -d 'End connections without data for this long; keepalives are no data [default: never]' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l rekey-bytes -d 'Replace keys after this many bytes in one direction [default: what the cipher allows]' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l gateway-ports -d 'Whether -R may listen beyond loopback, as sshd\'s GatewayPorts' -r -f -a "no\t'Loopback only'
clientspecified\t'The address that the client asks for'
yes\t'All addresses'"
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l stdio -d 'Serve one connection on standard input and output'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l json -d 'Print one line of JSON that says where it listens, instead of text'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand man" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up endpoint sftp-server completions man help" -f -a "up" -d 'Start a project for yourself and print the ssh line that opens it'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up endpoint sftp-server completions man help" -f -a "endpoint" -d 'Serve SSH for one environment: shell, commands, SFTP, forwardings'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up endpoint sftp-server completions man help" -f -a "sftp-server" -d 'Serve SFTP on standard input and output, as OpenSSH\'s sftp-server'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up endpoint sftp-server completions man help" -f -a "completions" -d 'Print completions for a shell'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up endpoint sftp-server completions man help" -f -a "man" -d 'Write the manual pages into a directory'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up endpoint sftp-server completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
