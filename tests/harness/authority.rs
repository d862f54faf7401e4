//! A certificate authority of the tests' own, and a PostgreSQL that shows its certificates.
//!
//! **Invariant:** no certificate of the system's is read, and none of these is trusted by anything but a test.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::binaries::unprivileged_user;
use super::cluster::Cluster;
use super::database::Session;

/// Signs certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("an authority's certificate");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("ca.pem"), pem("CERTIFICATE", issuer.der())).expect("its certificate");
        Self { issuer, folder }
    }

    /// The file that those who trust it are given.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for this name until the year's end, and its key, as PostgreSQL reads them.
    fn issue(&self, name: &str, until_year: i32) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until_year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    /// Lets PostgreSQL show a certificate for this name, to sessions from now on.
    pub(crate) fn equip(&self, cluster: &Cluster, name: &str, until_year: i32) {
        let (certificate, key) = self.issue(name, until_year);
        let data = cluster.socket_directory().join("data");
        own(&data.join("server.crt"), &certificate);
        own(&data.join("server.key"), &key);
        let admin = cluster.administer("postgres");
        admin.run("ALTER SYSTEM SET ssl = on");
        reload(&admin);
    }
}

/// A PostgreSQL that is spoken with over TLS only, and by password, as the tests' ordinary user; as superuser as ever.
pub(crate) struct SecuredCluster {
    pub(crate) cluster: Cluster,
    pub(crate) authority: Authority,
}

impl SecuredCluster {
    /// The user's password here.
    pub(crate) const PASSWORD: &str = "correct-horse-battery";

    /// One that tests share; its certificate is for `localhost`.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<SecuredCluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let (cluster, authority) = (Cluster::start(100), Authority::named("ours"));
            cluster.make_rows();
            authority.equip(&cluster, "localhost", 4000);
            let admin = cluster.administer("postgres");
            admin.run(&format!(
                "SET password_encryption = 'scram-sha-256'; ALTER ROLE plimsoll PASSWORD '{}'",
                Self::PASSWORD
            ));
            allow(&cluster, "hostssl all plimsoll all scram-sha-256");
            Self { cluster, authority }
        })
    }

    /// An address of its one database, by this name for the host and with these parameters.
    pub(crate) fn url(&self, host: &str, parameters: &str) -> String {
        let port = self.cluster.port();
        format!("postgres://plimsoll:{}@{host}:{port}/rows?{parameters}", Self::PASSWORD)
    }
}

/// Lets the ordinary user in by this line of `pg_hba.conf` only, and the superuser as ever.
pub(crate) fn allow(cluster: &Cluster, line: &str) {
    let file = cluster.socket_directory().join("data/pg_hba.conf");
    let text = format!("{line}\nhost all postgres 127.0.0.1/32 trust\nlocal all postgres trust\n");
    fs::write(file, text).expect("the rules of who is let in");
    reload(&cluster.administer("postgres"));
}

/// Makes what was changed hold for sessions from now on, and waits until it does.
fn reload(admin: &Session) {
    let loaded = "SELECT (extract(epoch FROM pg_conf_load_time()) * 1000000)::int8";
    let before = admin.number(loaded);
    admin.run("SELECT pg_reload_conf()");
    super::wait_until("PostgreSQL to read its settings", super::PATIENCE, || {
        (admin.number(loaded) != before).then_some(())
    });
}

/// Writes a file of a cluster's, which is its user's and which others may not read.
pub(super) fn own(path: &Path, text: &str) {
    fs::write(path, text).expect("a file of PostgreSQL's");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a file that others may not read");
    if let Some((uid, gid)) = unprivileged_user() {
        chown(path, Some(uid), Some(gid)).expect("the file handed to its user");
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
