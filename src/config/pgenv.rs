//! The `PG*` variables and connection service file that libpq programs share (PostgreSQL manual, "Environment
//! Variables" and "The Connection Service File"); tokio-postgres reads none of them, so we do.
//!
//! **Invariant:** a service that is named must be found; it is never skipped.

use std::path::{Path, PathBuf};

use super::layers::SettingsError;

/// What `PGHOST` and its kin say; an empty variable says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgVariables {
    /// `PGHOST`: a name, an address, or the directory of a Unix socket.
    pub host: Option<String>,
    /// `PGPORT`.
    pub port: Option<String>,
    /// `PGUSER`.
    pub user: Option<String>,
    /// `PGPASSWORD`.
    pub password: Option<String>,
    /// `PGDATABASE`.
    pub dbname: Option<String>,
    /// `PGSSLMODE`.
    pub sslmode: Option<String>,
    /// `PGSSLROOTCERT`, or the file that libpq looks for where nobody names one, if it is there.
    pub sslrootcert: Option<String>,
    /// `PGTARGETSESSIONATTRS`.
    pub target_session_attrs: Option<String>,
    /// `PGSERVICE`, already looked up: its values stand in the fields above.
    pub service: Option<String>,
}

impl PgVariables {
    /// Whether they name a server, rather than details of one.
    pub fn names_a_server(&self) -> bool {
        self.host.is_some() || self.service.is_some()
    }

    /// The values as keys of tokio-postgres's configuration; it does not know the others.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("host", &self.host),
            ("port", &self.port),
            ("user", &self.user),
            ("password", &self.password),
            ("dbname", &self.dbname),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }

    /// The values by the names of the variables, and nothing for a variable that is not set: a service has been looked up.
    pub fn variables(&self) -> [(&'static str, Option<&str>); 9] {
        [
            ("PGHOST", self.host.as_deref()),
            ("PGPORT", self.port.as_deref()),
            ("PGUSER", self.user.as_deref()),
            ("PGPASSWORD", self.password.as_deref()),
            ("PGDATABASE", self.dbname.as_deref()),
            ("PGSSLMODE", self.sslmode.as_deref()),
            ("PGSSLROOTCERT", self.sslrootcert.as_deref()),
            ("PGTARGETSESSIONATTRS", self.target_session_attrs.as_deref()),
            ("PGSERVICE", None),
        ]
    }

    fn field(&mut self, key: &str) -> Option<&mut Option<String>> {
        match key {
            "host" | "hostaddr" => Some(&mut self.host),
            "port" => Some(&mut self.port),
            "user" => Some(&mut self.user),
            "password" => Some(&mut self.password),
            "dbname" => Some(&mut self.dbname),
            "sslmode" => Some(&mut self.sslmode),
            "sslrootcert" => Some(&mut self.sslrootcert),
            "target_session_attrs" => Some(&mut self.target_session_attrs),
            _ => None,
        }
    }
}

/// Reads this process's variables, and the service file if one is named.
pub(super) fn read_environment() -> Result<PgVariables, SettingsError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut variables = PgVariables {
        host: variable("PGHOST"),
        port: variable("PGPORT"),
        user: variable("PGUSER"),
        password: variable("PGPASSWORD"),
        dbname: variable("PGDATABASE"),
        sslmode: variable("PGSSLMODE"),
        sslrootcert: variable("PGSSLROOTCERT").or_else(|| usual_root_certificate(&variable)),
        target_session_attrs: variable("PGTARGETSESSIONATTRS"),
        service: variable("PGSERVICE"),
    };
    if let Some(service) = variables.service.clone() {
        let files = service_files(&variable);
        let section = files.iter().find_map(|file| find_service(file, &service));
        let Some(section) = section else {
            let looked = files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" or ");
            return Err(SettingsError::new(format!(
                "PGSERVICE={service}, but there is no [{service}] in {looked}. Add it there, or name the database by \
                 DATABASE_URL"
            )));
        };
        apply_service(&mut variables, &section);
    }
    Ok(variables)
}

/// Where libpq looks for certificate authorities when nobody names a file, if there is one.
fn usual_root_certificate(variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let path = Path::new(&variable("HOME")?).join(".postgresql/root.crt");
    path.is_file().then(|| path.display().to_string())
}

/// The places where libpq looks for services, in its order.
fn service_files(variable: &impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let own = variable("PGSERVICEFILE")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".pg_service.conf")));
    let shared = variable("PGSYSCONFDIR").map(|dir| Path::new(&dir).join("pg_service.conf"));
    own.into_iter().chain(shared).collect()
}

fn find_service(file: &Path, service: &str) -> Option<Vec<(String, String)>> {
    parse_service(&std::fs::read_to_string(file).ok()?, service)
}

/// The `key=value` lines of one `[service]`; none if the text has no such service.
fn parse_service(text: &str, service: &str) -> Option<Vec<(String, String)>> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.find(|line| line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) == Some(service))?;
    Some(
        lines
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect(),
    )
}

/// A service's values go before the variables', as in libpq.
fn apply_service(variables: &mut PgVariables, section: &[(String, String)]) {
    for (key, value) in section {
        if let Some(field) = variables.field(key) {
            *field = Some(value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# ours\n[test]\nhost=localhost\n\n[prod]\nhost = db1\nport=6432\nuser=web\n[other]\nport=1\n";

    #[test]
    fn a_service_is_read_up_to_the_next_one() {
        let section = parse_service(FILE, "prod").unwrap();
        let mut variables = PgVariables { port: Some("5432".into()), ..PgVariables::default() };
        apply_service(&mut variables, &section);
        assert_eq!(variables.host.as_deref(), Some("db1"));
        assert_eq!(variables.port.as_deref(), Some("6432"), "the service goes before PGPORT");
        assert_eq!(variables.user.as_deref(), Some("web"));
    }

    #[test]
    fn a_service_that_is_not_there_is_not_made_up() {
        assert_eq!(parse_service(FILE, "staging"), None);
    }
}
