#![expect(
    clippy::result_large_err,
    reason = "figment's Jail fixes the error type"
)]

use super::*;
use figment::Jail;

fn load_with(file: &str, overrides: Overrides) -> anyhow::Result<Config> {
    load(&Overrides {
        file: Some(PathBuf::from(file)),
        ..overrides
    })
}

#[test]
fn the_file_beats_the_defaults_the_environment_the_file_and_flags_all() {
    Jail::expect_with(|jail| {
        jail.create_file(
            "a.toml",
            "[http]\nlisten = \"1.1.1.1:1\"\n[rtsp]\nlisten = \"1.1.1.1:2\"",
        )?;
        let file = load_with("a.toml", Overrides::default()).expect("valid");
        assert_eq!(
            (file.http.listen.as_str(), file.record.segment_s),
            ("1.1.1.1:1", 10.0)
        );
        jail.set_env("FRAMEWELL_HTTP__LISTEN", "2.2.2.2:1");
        jail.set_env("FRAMEWELL_RTSP__LISTEN", "2.2.2.2:2");
        let env = load_with("a.toml", Overrides::default()).expect("valid");
        assert_eq!(env.http.listen, "2.2.2.2:1");
        let flags = Overrides {
            http_listen: Some("3.3.3.3:1".into()),
            ..Overrides::default()
        };
        let flags = load_with("a.toml", flags).expect("valid");
        assert_eq!(
            (flags.http.listen.as_str(), flags.rtsp.listen.as_str()),
            ("3.3.3.3:1", "2.2.2.2:2")
        );
        Ok(())
    });
}

#[test]
fn a_misspelt_key_is_an_error_that_names_it() {
    Jail::expect_with(|jail| {
        jail.create_file("a.toml", "[http]\nlistne = \"1.1.1.1:1\"")?;
        let error = load_with("a.toml", Overrides::default()).expect_err("unknown key");
        assert!(format!("{error:#}").contains("listne"), "{error:#}");
        Ok(())
    });
}

#[test]
fn absurd_values_and_missing_files_are_refused() {
    Jail::expect_with(|jail| {
        jail.create_file("a.toml", "[record]\npre_roll_s = 31.0")?;
        let error = load_with("a.toml", Overrides::default()).expect_err("beyond the ring");
        assert!(error.to_string().contains("ring.max_age_s"), "{error}");
        jail.create_file("a.toml", "[record]\nsegment_s = 0.0")?;
        let error = load_with("a.toml", Overrides::default()).expect_err("zero seconds");
        assert!(error.to_string().contains("record.segment_s"), "{error}");
        jail.create_file("c.toml", "[http]\ntoken_share_percent = 0")?;
        let error = load_with("c.toml", Overrides::default()).expect_err("no share");
        assert!(error.to_string().contains("token_share_percent"), "{error}");
        jail.create_file("c.toml", "[http]\naccount_share_percent = 101")?;
        let error = load_with("c.toml", Overrides::default()).expect_err("more than all");
        assert!(
            error.to_string().contains("account_share_percent"),
            "{error}"
        );
        let error = load_with("b.toml", Overrides::default()).expect_err("no such file");
        assert!(error.to_string().contains("b.toml"), "{error}");
        Ok(())
    });
}

#[test]
fn a_password_among_the_parameters_is_hidden_too() {
    let hidden = hide_password("postgres://app:a@db/framewell?user=b&password=hunter2&x=1");
    assert_eq!(
        hidden,
        "postgres://app:***@db/framewell?user=b&password=***&x=1"
    );
}

#[test]
fn rendering_hides_the_database_password_and_reads_back() {
    Jail::expect_with(|jail| {
        let flags = Overrides {
            database_url: Some("postgres://app:hunter2@db.local/framewell".into()),
            ..Overrides::default()
        };
        let text = render(&load(&flags).expect("valid")).expect("renders");
        assert!(
            text.contains("postgres://app:***@db.local/framewell"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
        jail.create_file("again.toml", &text)?;
        load_with("again.toml", Overrides::default()).expect("the rendered text is a valid file");
        Ok(())
    });
}

#[test]
fn a_bucket_needs_keys_and_its_secret_is_not_shown() {
    Jail::expect_with(|jail| {
        jail.create_file("a.toml", "[s3]\nbucket = \"footage\"\naccess_key = \"me\"")?;
        let error = load_with("a.toml", Overrides::default()).expect_err("no secret");
        assert!(error.to_string().contains("s3.secret_key"), "{error}");
        jail.set_env("FRAMEWELL_S3__SECRET_KEY", "hunter2");
        let config = load_with("a.toml", Overrides::default()).expect("valid");
        assert_eq!(config.s3.secret_key.expose(), "hunter2");
        let text = render(&config).expect("renders");
        assert!(
            text.contains("secret_key = \"***\"") && !text.contains("hunter2"),
            "{text}"
        );
        jail.set_env("FRAMEWELL_S3__ENDPOINT", "minio:9000");
        let error = load_with("a.toml", Overrides::default()).expect_err("no scheme");
        assert!(error.to_string().contains("s3.endpoint"), "{error}");
        Ok(())
    });
}

#[test]
fn addresses_and_log_filters_that_cannot_be_are_refused_before_the_start() {
    for (text, key) in [
        ("[http]\nlisten = \"8080\"", "http.listen"),
        ("[rtsp]\nlisten = \"0.0.0.0:99999\"", "rtsp.listen"),
        ("[log]\nlevel = \"a=b=c\"", "log.level"),
        (
            "[rtmp]\nstranger_share_percent = 0",
            "rtmp.stranger_share_percent",
        ),
    ] {
        Jail::expect_with(|jail| {
            jail.create_file("a.toml", text)?;
            let error = load_with("a.toml", Overrides::default()).expect_err("not valid");
            assert!(error.to_string().contains(key), "{error}");
            Ok(())
        });
    }
    Jail::expect_with(|jail| {
        jail.create_file("a.toml", "[http]\nlisten = \"[::1]:8080\"")?;
        load_with("a.toml", Overrides::default()).expect("an IPv6 address");
        Ok(())
    });
}
