//! Kerberos: a real KDC, and an sshd that takes its tickets and nothing else.

use super::machine::Machine;
use hop_e2e::program::program;

/// A realm on the machine's loopback; its sshd is the host `ticket`.
fn realm(machine: &Machine) {
    for name in ["/usr/sbin/kdb5_util", "/usr/sbin/krb5kdc", "/usr/sbin/kadmin.local", "kinit", "klist"] {
        let _ = program(name);
    }
    let folder = machine.path().join("kdc");
    std::fs::create_dir(&folder).unwrap();
    let at = folder.display();
    let config = format!(
        "[libdefaults]\ndefault_realm = TEST\ndns_lookup_kdc = false\ndns_canonicalize_hostname = false\nrdns = false\nforwardable = true\n\
         default_ccache_name = FILE:{at}/tickets\n[realms]\nTEST = {{\n kdc = 127.0.0.1:8888\n}}\n\
         [domain_realm]\nlocalhost = TEST\n"
    );
    std::fs::write(folder.join("krb5.conf"), config).unwrap();
    let kdc = format!(
        "[realms]\nTEST = {{\n kdc_ports = 8888\n kdc_tcp_ports = 8888\n database_name = {at}/principals\n\
         key_stash_file = {at}/stash\n max_life = 10h\n}}\n[logging]\nkdc = FILE:{at}/kdc.log\n"
    );
    std::fs::write(folder.join("kdc.conf"), kdc).unwrap();
    let admin = "/usr/sbin/kadmin.local -q";
    let made = machine.shell(&format!(
        "export KRB5_CONFIG={at}/krb5.conf KRB5_KDC_PROFILE={at}/kdc.conf; \
         /usr/sbin/kdb5_util create -s -r TEST -P master && {admin} 'addprinc -pw hunter2 ada' && \
         {admin} 'addprinc -randkey host/localhost' && {admin} 'ktadd -k {at}/keytab host/localhost' && \
         /usr/sbin/krb5kdc -P {at}/pid && \
         KRB5_KTNAME={at}/keytab /usr/sbin/sshd -f /dev/null -p 2210 -E {at}/../sshd-2210.log -h {at}/../host \
         -o PidFile=none -o LogLevel=VERBOSE -o PermitRootLogin=yes -o UsePAM=no -o PrintMotd=no \
         -o GSSAPIAuthentication=yes -o GSSAPIStrictAcceptorCheck=no -o AuthenticationMethods=gssapi-with-mic"
    ));
    let _ = made.success();
    std::fs::write(machine.home(".k5login"), "ada@TEST\n").unwrap();
    let config = std::fs::read_to_string(machine.home(".ssh/config")).unwrap();
    let host = "Host ticket\n    HostName localhost\n    Port 2210\n    GSSAPIAuthentication yes\n\
                Host given\n    HostName localhost\n    Port 2210\n    GSSAPIAuthentication yes\n    GSSAPIDelegateCredentials yes\n";
    std::fs::write(machine.home(".ssh/config"), config + host).unwrap();
}

#[test]
fn a_ticket_is_fetched_when_there_is_none_and_its_time_is_shown() {
    let machine = Machine::new();
    realm(&machine);
    machine.decide("[default]\nkerberos = \"ada@TEST\"\n[host.plain]\n");
    let kerberos = format!("set env(KRB5_CONFIG) {}/kdc/krb5.conf\n", machine.path().display());
    machine.expect(&format!(
        "{kerberos}spawn hop login ticket\nwants {{Password for ada@TEST:}}\nsend \"wrong\\r\"\n\
         wants {{kinit -- ada@TEST ended with status 1: kinit: Password incorrect}}\nends 77\n\
         spawn hop login ticket\nwants {{Password for ada@TEST:}}\nsend \"hunter2\\r\"\nwants {{ticket is up}}\nends 0\n"
    ));
    let shown = machine.hop(&["status", "ticket"]).success().stdout();
    assert!(shown.contains("Kerberos ticket until "), "{shown}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let until =
        machine.status("ticket").pointer("/ticket_until").and_then(serde_json::Value::as_u64).unwrap();
    assert!((now + 9 * 3600..=now + 10 * 3600).contains(&until), "the KDC gives ten hours: {until}");
    let _ = machine.hop(&["logout", "ticket"]).success();
    // There is one: nobody is asked.
    let _ = machine.shell("hop login ticket").success();
    let sent = machine.hop(&["exec", "ticket", "--", "echo \"cache:$KRB5CCNAME\""]).success().stdout();
    assert_eq!(sent, "cache:\n", "it is not sent along");
    let _ = machine.shell("hop login given").success();
    let sent = machine.hop(&["exec", "given", "--", "echo \"cache:$KRB5CCNAME\""]).success().stdout();
    assert!(sent.starts_with("cache:FILE:"), "{sent}");
    let log = machine.log_text(2210);
    assert_eq!(log.matches("Accepted gssapi-with-mic").count(), 3, "{log}");
    // Where ssh would not use it, that is said instead of asking for it.
    let config = std::fs::read_to_string(machine.home(".ssh/config")).unwrap();
    std::fs::write(machine.home(".ssh/config"), format!("Host plain\n    GSSAPIAuthentication no\n{config}"))
        .unwrap();
    let refused = machine.shell("hop login plain").status(78).stderr();
    assert!(refused.contains("hint: GSSAPIAuthentication yes in ~/.ssh/config"), "{refused}");
}
