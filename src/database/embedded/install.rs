//! The command that installs PostgreSQL on the system at hand.
//!
//! **Invariant:** a command is only ever shown, never run.

use std::fs;

use super::binaries::NEWEST;

/// The command for this system; `major` asks for one version in particular.
pub(super) fn command_here(major: Option<u32>) -> String {
    if cfg!(target_os = "macos") {
        return brew(major);
    }
    let release =
        ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| fs::read_to_string(path).ok());
    command(&release.unwrap_or_default(), rustix::process::geteuid().is_root(), major)
}

fn brew(major: Option<u32>) -> String {
    format!("brew install postgresql@{}", major.unwrap_or(NEWEST))
}

/// `release` is the text of os-release(5).
fn command(release: &str, root: bool, major: Option<u32>) -> String {
    let names = families(release);
    let is = |family: &str| names.iter().any(|name| name == family);
    let tail = major.map(|major| major.to_string()).unwrap_or_default();
    let install = if is("debian") || is("ubuntu") {
        let package = major.map_or_else(|| "postgresql".into(), |major| format!("postgresql-{major}"));
        format!("apt-get install -y {package}")
    } else if is("fedora") {
        // The distribution carries one version at a time under a plain name.
        "dnf install -y postgresql-server postgresql-contrib".to_string()
    } else if is("rhel") || is("centos") {
        match major {
            Some(major) => format!("dnf module install -y postgresql:{major}"),
            None => "dnf install -y postgresql-server postgresql-contrib".to_string(),
        }
    } else if is("alpine") {
        format!("apk add postgresql{tail} postgresql{tail}-contrib")
    } else if is("arch") {
        "pacman -S --noconfirm postgresql".to_string()
    } else if is("suse") || is("opensuse") {
        format!("zypper install -y postgresql{tail}-server postgresql{tail}-contrib")
    } else {
        return "the package manager of this system (its package is mostly called postgresql)".into();
    };
    if root { install } else { format!("sudo {install}") }
}

/// The values of `ID` and `ID_LIKE`: the system's own name first, then those it descends from.
fn families(release: &str) -> Vec<String> {
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_lowercase()
    };
    format!("{} {}", value("ID"), value("ID_LIKE")).split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_gets_its_own_command() {
        let cases = [
            ("ID=debian\n", "sudo apt-get install -y postgresql"),
            ("NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "sudo apt-get install -y postgresql"),
            ("ID=fedora", "sudo dnf install -y postgresql-server postgresql-contrib"),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"",
                "sudo dnf install -y postgresql-server postgresql-contrib",
            ),
            ("ID=alpine", "sudo apk add postgresql postgresql-contrib"),
            ("ID=manjaro\nID_LIKE=arch", "sudo pacman -S --noconfirm postgresql"),
            (
                "ID=opensuse-leap\nID_LIKE='suse opensuse'",
                "sudo zypper install -y postgresql-server postgresql-contrib",
            ),
        ];
        for (release, expected) in cases {
            assert_eq!(command(release, false, None), expected);
        }
    }

    #[test]
    fn one_version_can_be_asked_for() {
        assert_eq!(command("ID=debian", true, Some(16)), "apt-get install -y postgresql-16");
        assert_eq!(command("ID=alpine", true, Some(16)), "apk add postgresql16 postgresql16-contrib");
        assert_eq!(brew(Some(16)), "brew install postgresql@16");
    }

    #[test]
    fn an_unknown_system_gets_words_instead_of_a_command() {
        assert!(command("", true, None).contains("package manager"));
    }
}
