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
complete -c hop -n "__fish_hop_needs_command" -f -a "up" -d 'Start a whole site: SSH gateway, web pages, projects; and print how to get in'
complete -c hop -n "__fish_hop_needs_command" -f -a "serve" -d 'Start a site as its settings file says'
complete -c hop -n "__fish_hop_needs_command" -f -a "admin" -d 'Run a site from a shell: accounts, invitations, projects, members, keys, sessions, audit'
complete -c hop -n "__fish_hop_needs_command" -f -a "login" -d 'Log in to a host once, for everything that follows'
complete -c hop -n "__fish_hop_needs_command" -f -a "logout" -d 'End a login'
complete -c hop -n "__fish_hop_needs_command" -f -a "status" -d 'Show logins: how long they last, who uses them, who waits'
complete -c hop -n "__fish_hop_needs_command" -f -a "exec" -d 'Run a command on a host, over its login'
complete -c hop -n "__fish_hop_needs_command" -f -a "ssh" -d 'Run ssh over a host\'s login, which is made first if there is none'
complete -c hop -n "__fish_hop_needs_command" -f -a "forward" -d 'Forward ports over a host\'s login, which is made first if there is none'
complete -c hop -n "__fish_hop_needs_command" -f -a "ssh-config" -d 'Let ssh, scp, sftp, rsync and git share a host\'s login'
complete -c hop -n "__fish_hop_needs_command" -f -a "secret" -d 'Entrust a password, the seed of one-time codes or a passphrase, for logins without a person'
complete -c hop -n "__fish_hop_needs_command" -f -a "agent" -d 'One ssh-agent for every shell and daemon'
complete -c hop -n "__fish_hop_needs_command" -f -a "answer" -d 'Answer what logins ask that were started elsewhere'
complete -c hop -n "__fish_hop_needs_command" -f -a "daemon" -d 'The daemon that holds logins; it starts and stops by itself'
complete -c hop -n "__fish_hop_needs_command" -f -a "endpoint" -d 'Serve SSH for one environment: shell, commands, SFTP, forwardings'
complete -c hop -n "__fish_hop_needs_command" -f -a "sftp-server" -d 'Serve SFTP on standard input and output, as OpenSSH\'s sftp-server'
complete -c hop -n "__fish_hop_needs_command" -f -a "jupyter" -d 'Reach your server behind a JupyterHub with ssh, scp, rsync, git, VS Code'
complete -c hop -n "__fish_hop_needs_command" -f -a "proxy" -d 'Connect ssh through a WebSocket: the ProxyCommand for SSH behind a JupyterHub or a site\'s web address'
complete -c hop -n "__fish_hop_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c hop -n "__fish_hop_needs_command" -f -a "man" -d 'Write the manual pages into a directory'
complete -c hop -n "__fish_hop_needs_command" -f -a "role" -d 'One process of a site; started by hop up and hop serve, never by hand'
complete -c hop -n "__fish_hop_needs_command" -f -a "door"
complete -c hop -n "__fish_hop_needs_command" -f -a "proxy-port" -d 'Leads a project\'s proxy port to the site\'s socket; started by the keeper, never by hand'
complete -c hop -n "__fish_hop_needs_command" -f -a "walls" -d 'Runs a program behind a project\'s walls; started by the keeper, never by hand'
complete -c hop -n "__fish_hop_needs_command" -f -a "ensure" -d 'Called by ssh (Match exec in ~/.ssh/hop.conf): makes sure that a host\'s login is there'
complete -c hop -n "__fish_hop_needs_command" -f -a "dial" -d 'Called by ssh (ProxyCommand in ~/.ssh/hop.conf) when it could not use a host\'s login'
complete -c hop -n "__fish_hop_needs_command" -f -a "on-terminal" -d 'Runs a program with its standard input as its controlling terminal; started by the daemon, never by hand'
complete -c hop -n "__fish_hop_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand up" -l data -d 'Where keys and settings are kept' -r -F
complete -c hop -n "__fish_hop_using_subcommand up" -l ssh -d 'Address and port for SSH; port 0 takes any free one' -r
complete -c hop -n "__fish_hop_using_subcommand up" -l http -d 'Address and port for the web pages; port 0 takes any free one' -r
complete -c hop -n "__fish_hop_using_subcommand up" -l add-keys -d 'Whether the public keys in ~/.ssh become admin\'s; asked on a terminal at the first start when not given' -r -f -a "yes\t''
no\t''"
complete -c hop -n "__fish_hop_using_subcommand up" -l unsandboxed -d 'Do not keep projects apart from this user: for one person on their own machine'
complete -c hop -n "__fish_hop_using_subcommand up" -l json -d 'Print one line of JSON instead of text'
complete -c hop -n "__fish_hop_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand serve" -l config -d 'The settings' -r -F
complete -c hop -n "__fish_hop_using_subcommand serve" -l only -d 'Run this part of the site only; may be given several times. The parts find one another in the data directory, so that each can be a service of its own' -r -f -a "keeper\t'Starts and holds projects'
signer\t'Holds the CA keys'
site\t'Gateway, pages and records'"
complete -c hop -n "__fish_hop_using_subcommand serve" -l json -d 'Print one line of JSON instead of text'
complete -c hop -n "__fish_hop_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "account" -d 'People who can sign in'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "invitation" -d 'Links by which people get an account, perhaps with a project'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "project" -d 'What people log in to'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "member" -d 'Who may enter a project'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "key" -d 'Public keys of accounts and projects'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "cert" -d 'Short-lived certificates of the site\'s CA'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "session" -d 'SSH sessions that are open'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "audit" -d 'Who changed what'
complete -c hop -n "__fish_hop_using_subcommand admin; and not __fish_seen_subcommand_from account invitation project member key cert session audit help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -f -a "list" -d 'List accounts'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -f -a "add" -d 'Make an account and print its sign-in link'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -f -a "link" -d 'Print a link that signs an account in once'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -f -a "suspend" -d 'Take everything from an account: its sessions end now'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -f -a "activate" -d 'Give a suspended account back what it had'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from account" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from invitation" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from invitation" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from invitation" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from invitation" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from invitation" -f -a "list" -d 'List open invitations'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from invitation" -f -a "add" -d 'Make an invitation and print its link'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from invitation" -f -a "remove" -d 'Withdraw an invitation'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from invitation" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -f -a "list" -d 'List projects'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -f -a "add" -d 'Make a project'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -f -a "set" -d 'Change title or alias'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -f -a "suspend" -d 'Close a project for now: its sessions end'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -f -a "activate" -d 'Open a suspended project'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -f -a "remove" -d 'Remove a project for good; its files stay on disk'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from project" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -f -a "list" -d 'List members'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -f -a "add" -d 'Let an account in'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -f -a "set" -d 'Change what a member may do'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -f -a "remove" -d 'Take a member out: its sessions there end'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from member" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from key" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from key" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from key" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from key" -f -a "list" -d 'List keys with their last use'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from key" -f -a "add" -d 'Add the public keys in a file'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from key" -f -a "remove" -d 'Remove a key: the sessions that it opened end'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from key" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -f -a "issue" -d 'Issue a certificate for an account\'s public key and print it'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -f -a "list" -d 'List an account\'s certificates that count'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -f -a "revoke" -d 'Revoke a certificate: its sessions end'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -f -a "ca" -d 'Print the public keys of the CAs'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from cert" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from session" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from session" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from session" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from session" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from session" -f -a "list" -d 'List open sessions'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from session" -f -a "end" -d 'End a session now'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from session" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from audit" -l data -d 'The data directory of hop up' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from audit" -l config -d 'The settings of hop serve' -r -F
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from audit" -l json -d 'Print JSON: one document in each line'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from audit" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from audit" -f -a "list" -d 'Show the last changes, newest first'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Check that nobody altered or removed a row'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from audit" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "account" -d 'People who can sign in'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "invitation" -d 'Links by which people get an account, perhaps with a project'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "project" -d 'What people log in to'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "member" -d 'Who may enter a project'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "key" -d 'Public keys of accounts and projects'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "cert" -d 'Short-lived certificates of the site\'s CA'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "session" -d 'SSH sessions that are open'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "audit" -d 'Who changed what'
complete -c hop -n "__fish_hop_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand login" -l for -d 'When it ends, counted from the login [default: 8h, or as last time]' -r
complete -c hop -n "__fish_hop_using_subcommand login" -l idle -d 'End it earlier when nobody uses it for this long [default: never]' -r
complete -c hop -n "__fish_hop_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand logout" -l now -d 'Also cut off whoever uses it'
complete -c hop -n "__fish_hop_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand status" -l json -d 'Print JSON'
complete -c hop -n "__fish_hop_using_subcommand status" -l watch -d 'Go on, and print again after each change'
complete -c hop -n "__fish_hop_using_subcommand status" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand exec" -s t -l tty -d 'Give the command a terminal, as ssh -t'
complete -c hop -n "__fish_hop_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand ssh" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand forward" -s L -d 'Listen here, connect from there: [ADDRESS:]PORT:HOST:PORT, or paths of sockets' -r
complete -c hop -n "__fish_hop_using_subcommand forward" -s R -d 'Listen there, connect from here; without a destination ([ADDRESS:]PORT) as a SOCKS proxy' -r
complete -c hop -n "__fish_hop_using_subcommand forward" -s D -d 'Listen here as a SOCKS proxy: [ADDRESS:]PORT' -r
complete -c hop -n "__fish_hop_using_subcommand forward" -l background -d 'Leave them open'
complete -c hop -n "__fish_hop_using_subcommand forward" -l cancel -d 'Close them'
complete -c hop -n "__fish_hop_using_subcommand forward" -l json -d 'Print JSON'
complete -c hop -n "__fish_hop_using_subcommand forward" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and not __fish_seen_subcommand_from enable disable show help" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and not __fish_seen_subcommand_from enable disable show help" -f -a "enable" -d 'Write a host\'s block into ~/.ssh/hop.conf, and one Include line into ~/.ssh/config'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and not __fish_seen_subcommand_from enable disable show help" -f -a "disable" -d 'Take a host\'s block out again'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and not __fish_seen_subcommand_from enable disable show help" -f -a "show" -d 'Print a host\'s block'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and not __fish_seen_subcommand_from enable disable show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from enable" -s y -l yes -d 'Do not ask'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from enable" -l plain -d 'For tools that read only HostName, Port, User and IdentityFile (paramiko, ssh2.js, JetBrains): HOST-plain, by way of an SSH port of the daemon on 127.0.0.1'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from disable" -s y -l yes -d 'Do not ask'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from disable" -l plain -d 'For tools that read only HostName, Port, User and IdentityFile (paramiko, ssh2.js, JetBrains): HOST-plain, by way of an SSH port of the daemon on 127.0.0.1'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from show" -l plain -d 'For tools that read only HostName, Port, User and IdentityFile (paramiko, ssh2.js, JetBrains): HOST-plain, by way of an SSH port of the daemon on 127.0.0.1'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Write a host\'s block into ~/.ssh/hop.conf, and one Include line into ~/.ssh/config'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Take a host\'s block out again'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print a host\'s block'
complete -c hop -n "__fish_hop_using_subcommand ssh-config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand secret; and not __fish_seen_subcommand_from set list enable remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand secret; and not __fish_seen_subcommand_from set list enable remove help" -f -a "set" -d 'Store one, in place of the one before'
complete -c hop -n "__fish_hop_using_subcommand secret; and not __fish_seen_subcommand_from set list enable remove help" -f -a "list" -d 'List what is stored, without the secrets'
complete -c hop -n "__fish_hop_using_subcommand secret; and not __fish_seen_subcommand_from set list enable remove help" -f -a "enable" -d 'Use what is stored again, after a refusal'
complete -c hop -n "__fish_hop_using_subcommand secret; and not __fish_seen_subcommand_from set list enable remove help" -f -a "remove" -d 'Forget it'
complete -c hop -n "__fish_hop_using_subcommand secret; and not __fish_seen_subcommand_from set list enable remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from set" -l question -d 'A question that it answers, word by word, without ssh\'s (user@host); else learnt from your next login' -r
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from set" -l stdin -d 'Read it from standard input: one line'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from set" -l site-allows-it -d 'You have made sure that the site allows a program to make its one-time codes'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "set" -d 'Store one, in place of the one before'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "list" -d 'List what is stored, without the secrets'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Use what is stored again, after a refusal'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Forget it'
complete -c hop -n "__fish_hop_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand agent; and not __fish_seen_subcommand_from start add status help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand agent; and not __fish_seen_subcommand_from start add status help" -f -a "start" -d 'Find or start it, and print the line for the shell'
complete -c hop -n "__fish_hop_using_subcommand agent; and not __fish_seen_subcommand_from start add status help" -f -a "add" -d 'Add keys; ssh-add asks for their passphrases'
complete -c hop -n "__fish_hop_using_subcommand agent; and not __fish_seen_subcommand_from start add status help" -f -a "status" -d 'Say which keys it has, and which it had before'
complete -c hop -n "__fish_hop_using_subcommand agent; and not __fish_seen_subcommand_from start add status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from add" -l for -d 'When they are forgotten' -r
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from status" -l json -d 'Print JSON'
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "start" -d 'Find or start it, and print the line for the shell'
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add keys; ssh-add asks for their passphrases'
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say which keys it has, and which it had before'
complete -c hop -n "__fish_hop_using_subcommand agent; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand answer" -l once -d 'End when no question is open'
complete -c hop -n "__fish_hop_using_subcommand answer" -l page -d 'Print a link to a page where questions are answered, and open it where there is a desktop; the link is good once, for ten minutes, on this computer'
complete -c hop -n "__fish_hop_using_subcommand answer" -l no-open -d 'Only print the link'
complete -c hop -n "__fish_hop_using_subcommand answer" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand daemon; and not __fish_seen_subcommand_from start stop status api unit run help" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand daemon; and not __fish_seen_subcommand_from start stop status api unit run help" -f -a "start" -d 'Start it now'
complete -c hop -n "__fish_hop_using_subcommand daemon; and not __fish_seen_subcommand_from start stop status api unit run help" -f -a "stop" -d 'End it, and with it every login'
complete -c hop -n "__fish_hop_using_subcommand daemon; and not __fish_seen_subcommand_from start stop status api unit run help" -f -a "status" -d 'Say whether it runs'
complete -c hop -n "__fish_hop_using_subcommand daemon; and not __fish_seen_subcommand_from start stop status api unit run help" -f -a "api" -d 'Say where programs, such as notebooks, find its HTTP API'
complete -c hop -n "__fish_hop_using_subcommand daemon; and not __fish_seen_subcommand_from start stop status api unit run help" -f -a "unit" -d 'Print a systemd user unit that keeps it running, and how to install it'
complete -c hop -n "__fish_hop_using_subcommand daemon; and not __fish_seen_subcommand_from start stop status api unit run help" -f -a "run" -d 'Be it; started by the others'
complete -c hop -n "__fish_hop_using_subcommand daemon; and not __fish_seen_subcommand_from start stop status api unit run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from api" -l json -d 'Print JSON'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from api" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from unit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from run" -l stay -d 'Stay also when there is nothing to hold'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "start" -d 'Start it now'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "stop" -d 'End it, and with it every login'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say whether it runs'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "api" -d 'Say where programs, such as notebooks, find its HTTP API'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "unit" -d 'Print a systemd user unit that keeps it running, and how to install it'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "run" -d 'Be it; started by the others'
complete -c hop -n "__fish_hop_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l listen -d 'Listen on this address and port; port 0 takes any free one; may be given several times' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l unix -d 'Listen on a Unix socket that only this user can connect to' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l websocket -d 'Take WebSockets on this address, or at unix:PATH, with SSH in their binary frames; may be given several times' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l path -d 'Path at which WebSockets are taken' -r
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l host-key -d 'Private host key; FILE-cert.pub beside it is its certificate; made and kept when none is given' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l host-key-dir -d 'Where host keys are kept that are made here [default: ~/.local/share/hop/host-keys]' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l authorized-keys -d 'Who may log in, in the format of sshd' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l trusted-user-ca -d 'CA whose user certificates are accepted; one public key in a line' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l revoked-keys -d 'Revoked keys and certificates: a KRL or a list of public keys' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l user -d 'Name that may be logged in as, "*" for any; all mean the same account [default: this user\'s name]' -r
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
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l hand-over -d 'Socket on which that program hands over connections whose WebSocket was asked for' -r -F
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l stdio -d 'Serve one connection on standard input and output'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l framed -d 'Standard input and output are a text terminal: carry SSH in lines, as hop proxy --through-terminal wants it'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l site -d 'Standard input is a listening Unix socket of the site that started this process; its gateway authenticates and vouches for whoever comes'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l inherit-env -d 'Sessions get this process\'s whole environment, HOME and SHELL included, not only PATH, TZ, LANG and proxies'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l attended -d 'For a program that starts this one: end with standard input, print a line of JSON when channel data went by'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -l json -d 'Print one line of JSON that says where it listens, instead of text'
complete -c hop -n "__fish_hop_using_subcommand endpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and not __fish_seen_subcommand_from add list status login remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and not __fish_seen_subcommand_from add list status login remove help" -f -a "add" -d 'Set up ssh to your server: token, key, ~/.ssh/config'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and not __fish_seen_subcommand_from add list status login remove help" -f -a "list" -d 'List the servers that were set up'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and not __fish_seen_subcommand_from add list status login remove help" -f -a "status" -d 'Show a server: whether it runs, how long the token lasts, which keys it takes'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and not __fish_seen_subcommand_from add list status login remove help" -f -a "login" -d 'Give a new token, when the old one is expired, revoked or lost'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and not __fish_seen_subcommand_from add list status login remove help" -f -a "remove" -d 'Forget a server: its block, its keys over there, its token'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and not __fish_seen_subcommand_from add list status login remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l user -d 'Whose server [default: the token\'s owner]' -r
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l server -d 'A named server [default: the first one]' -r
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l name -d 'What you type after ssh [default: from the Hub\'s name]' -r
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l key -d 'Public key, as a file or an https:// page of keys [default: one of ~/.ssh/*.pub]' -r
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l token-file -d 'File with a token, "-" for standard input; else it is asked for on the terminal, without echo' -r -F
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l expires -d 'How long a token that is made here lives' -r
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l revoke-large -d 'Whether a token with more rights than needed is revoked after it was traded for a small one; asked on a terminal' -r -f -a "yes\t''
no\t''"
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l options -d 'What the Hub\'s start form is answered with, where it has one' -r
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l ca-file -d 'CA certificates (PEM) to trust beside the system\'s' -r -F
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l start-timeout -d 'Time for the server to start' -r
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l binary -d 'The hop to put there, where the server is another kind of machine than this [default: this one]' -r -F
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l renew -d 'Keep the right to make tokens, so that the token is renewed by itself; whoever has such a token has all your rights'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l through-terminal -d 'Where nothing serves SSH and nothing can be installed: put hop into the home there, and carry SSH through a terminal of the server; slower. Asked on a terminal where it is needed'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -s y -l yes -d 'Agree to the changes of ~/.ssh without being asked'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -l no-test -d 'Do not try ssh at the end'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from list" -l json -d 'Print one line of JSON for each'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from status" -l json -d 'Print one line of JSON'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from login" -l token-file -d 'File with a token, "-" for standard input; else it is asked for on the terminal, without echo' -r -F
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from login" -l expires -d 'How long a token that is made here lives' -r
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from login" -l revoke-large -d 'Whether a token with more rights than needed is revoked after it was traded for a small one; asked on a terminal' -r -f -a "yes\t''
no\t''"
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from login" -l renew -d 'Keep the right to make tokens, so that the token is renewed by itself; whoever has such a token has all your rights'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Agree to the changes of ~/.ssh without being asked'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from help" -f -a "add" -d 'Set up ssh to your server: token, key, ~/.ssh/config'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the servers that were set up'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show a server: whether it runs, how long the token lasts, which keys it takes'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from help" -f -a "login" -d 'Give a new token, when the old one is expired, revoked or lost'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Forget a server: its block, its keys over there, its token'
complete -c hop -n "__fish_hop_using_subcommand jupyter; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand proxy" -l token-file -d 'File with the token; nobody else may be able to read it' -r -F
complete -c hop -n "__fish_hop_using_subcommand proxy" -l token-env -d 'Environment variable with the token, where no file is given' -r
complete -c hop -n "__fish_hop_using_subcommand proxy" -l ca-file -d 'CA certificates (PEM) to trust beside the system\'s' -r -F
complete -c hop -n "__fish_hop_using_subcommand proxy" -l program -d 'Where hop is over there; ~ is the home there (write it in quotes, or the shell here takes it)' -r
complete -c hop -n "__fish_hop_using_subcommand proxy" -l start-timeout -d 'Time for a server to start' -r
complete -c hop -n "__fish_hop_using_subcommand proxy" -l connect-timeout -d 'Time for connecting' -r
complete -c hop -n "__fish_hop_using_subcommand proxy" -l start -d 'Start a JupyterHub\'s server if it is stopped, and wait for it; the token needs the scope servers!user=NAME, too'
complete -c hop -n "__fish_hop_using_subcommand proxy" -l through-terminal -d 'Where nothing serves SSH: run hop in a terminal of the Jupyter server, and carry SSH through that; slower, and an open connection counts as use'
complete -c hop -n "__fish_hop_using_subcommand proxy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand man" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand role" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hop -n "__fish_hop_using_subcommand door" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand proxy-port" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand ensure" -l id -r
complete -c hop -n "__fish_hop_using_subcommand ensure" -l name -r
complete -c hop -n "__fish_hop_using_subcommand ensure" -l addr -r
complete -c hop -n "__fish_hop_using_subcommand ensure" -l user -r
complete -c hop -n "__fish_hop_using_subcommand ensure" -l port -r
complete -c hop -n "__fish_hop_using_subcommand ensure" -l local-user -r
complete -c hop -n "__fish_hop_using_subcommand ensure" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand dial" -s h -l help -d 'Print help'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "up" -d 'Start a whole site: SSH gateway, web pages, projects; and print how to get in'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "serve" -d 'Start a site as its settings file says'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "admin" -d 'Run a site from a shell: accounts, invitations, projects, members, keys, sessions, audit'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "login" -d 'Log in to a host once, for everything that follows'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "logout" -d 'End a login'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "status" -d 'Show logins: how long they last, who uses them, who waits'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "exec" -d 'Run a command on a host, over its login'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "ssh" -d 'Run ssh over a host\'s login, which is made first if there is none'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "forward" -d 'Forward ports over a host\'s login, which is made first if there is none'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "ssh-config" -d 'Let ssh, scp, sftp, rsync and git share a host\'s login'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "secret" -d 'Entrust a password, the seed of one-time codes or a passphrase, for logins without a person'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "agent" -d 'One ssh-agent for every shell and daemon'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "answer" -d 'Answer what logins ask that were started elsewhere'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "daemon" -d 'The daemon that holds logins; it starts and stops by itself'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "endpoint" -d 'Serve SSH for one environment: shell, commands, SFTP, forwardings'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "sftp-server" -d 'Serve SFTP on standard input and output, as OpenSSH\'s sftp-server'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "jupyter" -d 'Reach your server behind a JupyterHub with ssh, scp, rsync, git, VS Code'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "proxy" -d 'Connect ssh through a WebSocket: the ProxyCommand for SSH behind a JupyterHub or a site\'s web address'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "completions" -d 'Print completions for a shell'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "man" -d 'Write the manual pages into a directory'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "role" -d 'One process of a site; started by hop up and hop serve, never by hand'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "door"
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "proxy-port" -d 'Leads a project\'s proxy port to the site\'s socket; started by the keeper, never by hand'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "walls" -d 'Runs a program behind a project\'s walls; started by the keeper, never by hand'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "ensure" -d 'Called by ssh (Match exec in ~/.ssh/hop.conf): makes sure that a host\'s login is there'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "dial" -d 'Called by ssh (ProxyCommand in ~/.ssh/hop.conf) when it could not use a host\'s login'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "on-terminal" -d 'Runs a program with its standard input as its controlling terminal; started by the daemon, never by hand'
complete -c hop -n "__fish_hop_using_subcommand help; and not __fish_seen_subcommand_from up serve admin login logout status exec ssh forward ssh-config secret agent answer daemon endpoint sftp-server jupyter proxy completions man role door proxy-port walls ensure dial on-terminal help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "account" -d 'People who can sign in'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "invitation" -d 'Links by which people get an account, perhaps with a project'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "project" -d 'What people log in to'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "member" -d 'Who may enter a project'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "key" -d 'Public keys of accounts and projects'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "cert" -d 'Short-lived certificates of the site\'s CA'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "session" -d 'SSH sessions that are open'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "audit" -d 'Who changed what'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from ssh-config" -f -a "enable" -d 'Write a host\'s block into ~/.ssh/hop.conf, and one Include line into ~/.ssh/config'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from ssh-config" -f -a "disable" -d 'Take a host\'s block out again'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from ssh-config" -f -a "show" -d 'Print a host\'s block'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "set" -d 'Store one, in place of the one before'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "list" -d 'List what is stored, without the secrets'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "enable" -d 'Use what is stored again, after a refusal'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "remove" -d 'Forget it'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "start" -d 'Find or start it, and print the line for the shell'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "add" -d 'Add keys; ssh-add asks for their passphrases'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from agent" -f -a "status" -d 'Say which keys it has, and which it had before'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "start" -d 'Start it now'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "stop" -d 'End it, and with it every login'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "status" -d 'Say whether it runs'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "api" -d 'Say where programs, such as notebooks, find its HTTP API'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "unit" -d 'Print a systemd user unit that keeps it running, and how to install it'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "run" -d 'Be it; started by the others'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from jupyter" -f -a "add" -d 'Set up ssh to your server: token, key, ~/.ssh/config'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from jupyter" -f -a "list" -d 'List the servers that were set up'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from jupyter" -f -a "status" -d 'Show a server: whether it runs, how long the token lasts, which keys it takes'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from jupyter" -f -a "login" -d 'Give a new token, when the old one is expired, revoked or lost'
complete -c hop -n "__fish_hop_using_subcommand help; and __fish_seen_subcommand_from jupyter" -f -a "remove" -d 'Forget a server: its block, its keys over there, its token'
