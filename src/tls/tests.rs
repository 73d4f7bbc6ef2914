//! `load` and `authority` together: what the one writes the other takes, and each fault has its own words.

use tempfile::TempDir;

use super::{
    authority::{Existing, Written, write_development},
    *,
};

const NOW: Wall = Wall(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn host(name: &str) -> OwnHost {
    OwnHost::parse(name).unwrap()
}

fn write(dir: &Path, names: &[&str], existing: Existing) -> Written {
    let hosts: Vec<_> = names.iter().map(|name| host(name)).collect();
    write_development(dir, &hosts, existing, NOW).unwrap()
}

/// A folder with certificates for `alpha.test` and `beta.test`, and the settings of `alpha.test`.
fn folder() -> (TempDir, Settings) {
    let dir = TempDir::new().unwrap();
    write(dir.path(), &["alpha.test", "beta.test"], Existing::Keep);
    let settings = Settings {
        certificate: dir.path().join("alpha.test.pem"),
        key: dir.path().join("alpha.test.key"),
        roots: vec![dir.path().join("ca.pem")],
        web_pki: false,
        check_every: Duration::from_secs(30),
    };
    (dir, settings)
}

fn fails(settings: &Settings, now: Wall) -> String {
    load(settings, &host("alpha.test"), now).expect_err("must fail").to_string()
}

#[test]
fn a_development_certificate_is_loaded_and_covers_its_host() {
    let (_dir, settings) = folder();
    let identity = load(&settings, &host("alpha.test:8443"), NOW).unwrap();
    assert_eq!(identity.certificate.names, ["alpha.test"]);
    assert_eq!(identity.certificate.warnings, [""; 0]);
    assert_eq!(identity.certificate.not_before, Wall(NOW.0 - 3_600_000));
    assert!(identity.certificate.not_after.since(identity.certificate.not_before) < 397 * DAY);
    assert_eq!(identity.server.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert!(identity.server.ticketer.enabled());
    assert!(identity.client.alpn_protocols.is_empty());
}

#[test]
fn renewed_files_are_seen_and_told_from_the_old_ones() {
    let (dir, settings) = folder();
    let (seen, identity) = (settings.sight(), load(&settings, &host("alpha.test"), NOW).unwrap());
    assert_eq!(settings.sight(), seen);
    write(dir.path(), &["alpha.test"], Existing::Replace);
    assert_ne!(settings.sight(), seen);
    let renewed = load(&settings, &host("alpha.test"), NOW).unwrap();
    assert!(!renewed.shows_as(&identity) && renewed.trusts_as(&identity));
    fs::remove_file(&settings.key).unwrap();
    let gone = settings.sight();
    assert_ne!(gone, seen);
    assert_eq!(settings.sight(), gone);
    let trusting = Settings { web_pki: true, key: dir.path().join("beta.test.key"), ..settings.clone() };
    let trusting = Settings { certificate: dir.path().join("beta.test.pem"), ..trusting };
    assert!(!load(&trusting, &host("beta.test"), NOW).unwrap().trusts_as(&identity));
}

#[test]
fn all_that_is_wrong_is_told_at_once_each_with_its_key() {
    let (dir, settings) = folder();
    let beside = dir.path().join("beta.test.key");
    let roots = vec![dir.path().join("ca.pem"), dir.path().join("no.pem")];
    let nothing = |name: &str| dir.path().join(name);
    let wrong = Settings {
        certificate: nothing("a.pem"),
        key: nothing("a.key"),
        roots: roots.clone(),
        ..settings.clone()
    };
    let keys = |settings: &Settings| -> Vec<String> {
        let Unusable(all) = load(settings, &host("alpha.test"), NOW).unwrap_err();
        all.iter().map(|error| settings.key_of(error)).collect()
    };
    assert_eq!(keys(&wrong), ["peer.certificate", "peer.key", "trust.roots[1]"]);
    assert_eq!(keys(&Settings { key: beside, roots, ..settings.clone() }), ["peer.key", "trust.roots[1]"]);
    assert_eq!(keys(&Settings { roots: Vec::new(), ..settings }), ["trust.roots"]);
}

#[test]
fn the_end_is_told_two_weeks_ahead_and_when_it_is_over() {
    let (_dir, settings) = folder();
    let facts = load(&settings, &host("alpha.test"), NOW).unwrap().certificate;
    let told = |days: u64, before: bool| {
        let at = if before { Wall(facts.not_after.0 - days * 86_400_000) } else { facts.not_after.plus(DAY) };
        facts.ending(&settings.certificate, at)
    };
    assert_eq!(told(15, true), None);
    assert!(told(13, true).unwrap().ends_with("expires in 13 days: renew it"));
    assert!(told(0, false).unwrap().contains("has expired"));
}

#[test]
fn addresses_get_certificates_too() {
    let dir = TempDir::new().unwrap();
    let written = write(dir.path(), &["127.0.0.1:8443", "[::1]:8443"], Existing::Keep).written;
    assert!(written.contains(&dir.path().join("127.0.0.1.pem")), "{written:?}");
    for (file, name, san) in [("127.0.0.1", "127.0.0.1:8443", "127.0.0.1"), ("[::1]", "[::1]:8443", "::1")] {
        let settings = Settings {
            certificate: dir.path().join(format!("{file}.pem")),
            key: dir.path().join(format!("{file}.key")),
            roots: vec![],
            web_pki: true,
            check_every: Duration::from_secs(30),
        };
        let facts = load(&settings, &host(name), NOW).unwrap().certificate;
        assert_eq!((facts.names, facts.warnings), (vec![san.to_owned()], vec![]), "{name}");
    }
}

#[test]
fn keys_are_for_their_owner_only() {
    let (dir, _) = folder();
    for (file, mode) in
        [("ca.key", 0o600), ("alpha.test.key", 0o600), ("ca.pem", 0o644), ("alpha.test.pem", 0o644)]
    {
        let found = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }
}

#[test]
fn a_second_run_keeps_what_is_there_and_adds_what_is_new() {
    let (dir, _) = folder();
    let before = fs::read(dir.path().join("alpha.test.pem")).unwrap();
    let again = write(dir.path(), &["alpha.test", "gamma.test"], Existing::Keep);
    assert_eq!(
        again.kept,
        ["alpha.test.pem", "alpha.test.key", "ca.pem", "ca.key"].map(|file| dir.path().join(file))
    );
    assert_eq!(again.written, ["gamma.test.pem", "gamma.test.key"].map(|file| dir.path().join(file)));
    assert_eq!(fs::read(dir.path().join("alpha.test.pem")).unwrap(), before);
}

#[test]
fn a_replaced_certificate_still_comes_from_the_same_authority() {
    let (dir, settings) = folder();
    let read = |file: &str| fs::read(dir.path().join(file)).unwrap();
    let (ca, leaf) = (read("ca.pem"), read("alpha.test.pem"));
    write(dir.path(), &["alpha.test"], Existing::Replace);
    assert_eq!(read("ca.pem"), ca);
    assert_ne!(read("alpha.test.pem"), leaf);
    assert!(load(&settings, &host("alpha.test"), NOW).is_ok());
}

#[test]
fn half_a_pair_is_never_made_whole() {
    for lost in ["ca.key", "ca.pem", "alpha.test.key", "alpha.test.pem"] {
        let (dir, _) = folder();
        fs::remove_file(dir.path().join(lost)).unwrap();
        let hosts = [host("alpha.test"), host("new.test")];
        let error = write_development(dir.path(), &hosts, Existing::Keep, NOW).unwrap_err();
        assert!(error.to_string().contains("stands without"), "{error}");
        assert!(!dir.path().join(lost).exists(), "{lost}");
    }
}

#[test]
fn certificates_that_were_brought_need_no_authority_with_its_key() {
    let (dir, _) = folder();
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    let done = write(dir.path(), &["alpha.test", "beta.test"], Existing::Keep);
    assert_eq!((done.written.len(), done.kept.len()), (0, 5));
    std::fs::remove_file(dir.path().join("ca.pem")).unwrap();
    let done = write(dir.path(), &["alpha.test"], Existing::Keep);
    assert_eq!((done.written.len(), done.kept.len()), (0, 2));
    assert!(!dir.path().join("ca.pem").exists());
}

#[test]
fn an_expired_authority_signs_nothing() {
    let (dir, _) = folder();
    let late = NOW.plus(3651 * DAY);
    let error = write_development(dir.path(), &[host("new.test")], Existing::Keep, late).unwrap_err();
    assert!(error.to_string().contains("the authority has expired"), "{error}");
}

#[test]
fn a_missing_file_is_named_with_its_setting() {
    let (_dir, mut settings) = folder();
    settings.roots = vec!["/nowhere/ca.pem".into()];
    assert!(fails(&settings, NOW).starts_with("/nowhere/ca.pem does not exist: set trust.roots"));
    settings.key = "/nowhere/own.key".into();
    assert!(fails(&settings, NOW).starts_with("/nowhere/own.key does not exist: set peer.key"));
    settings.certificate = "/nowhere/own.pem".into();
    assert!(fails(&settings, NOW).starts_with("/nowhere/own.pem does not exist: set peer.certificate"));
}

#[test]
fn a_file_without_the_right_content_says_what_is_missing() {
    let (dir, settings) = folder();
    let swapped = Settings { certificate: settings.key.clone(), ..settings.clone() };
    assert!(fails(&swapped, NOW).contains("it holds no certificate"));
    let swapped = Settings { key: settings.certificate.clone(), ..settings.clone() };
    assert!(fails(&swapped, NOW).contains("it holds no private key"));
    let broken = dir.path().join("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let broken = Settings { certificate: broken, ..settings.clone() };
    assert!(fails(&broken, NOW).contains("its first certificate cannot be read"));
    let folder = Settings { certificate: dir.path().to_owned(), ..settings };
    assert!(fails(&folder, NOW).contains("cannot be read"));
}

#[test]
fn a_key_of_another_certificate_is_recognised() {
    let (dir, mut settings) = folder();
    settings.key = dir.path().join("beta.test.key");
    assert!(fails(&settings, NOW).contains("does not belong to the certificate"));
}

#[test]
fn a_certificate_outside_its_time_is_an_error() {
    let (_dir, settings) = folder();
    assert!(fails(&settings, NOW.plus(400 * DAY)).ends_with("expired 3 days ago: renew it"));
    assert!(fails(&settings, Wall(NOW.0 - 7_200_000)).contains("is valid only in 60 minutes"));
}

#[test]
fn a_certificate_for_another_name_is_a_warning() {
    let (_dir, settings) = folder();
    let warnings = load(&settings, &host("other.test"), NOW).unwrap().certificate.warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("is for alpha.test, not for other.test"), "{warnings:?}");
}

#[test]
fn nobody_to_trust_is_an_error() {
    let (_dir, mut settings) = folder();
    settings.roots.clear();
    assert_eq!(fails(&settings, NOW), "no authority is trusted: set trust.web-pki or trust.roots");
    settings.web_pki = true;
    assert!(load(&settings, &host("alpha.test"), NOW).is_ok());
}

#[test]
fn an_end_that_is_near_and_a_key_that_all_may_read_are_warnings() {
    let (_dir, settings) = folder();
    fs::set_permissions(&settings.key, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = load(&settings, &host("alpha.test"), NOW.plus(390 * DAY)).unwrap().certificate.warnings;
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].ends_with("expires in 6 days: renew it"), "{warnings:?}");
    assert!(warnings[1].ends_with("chmod 600 it"), "{warnings:?}");
}
