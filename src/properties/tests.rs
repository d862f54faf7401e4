//! The properties, with inputs drawn by shapes that come close to what is meant, and with every seed of the fuzz targets.
//!
//! **Invariant:** a shape draws what is well formed and what nearly is; bytes without any shape are the fuzzer's.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::strategy::Union;
use proptest::string::string_regex;

use super::draw::{hold, hold_for};
use super::{ALL, address, answers, heads, responses, settings, target};

/// Text by a regular expression.
fn text(shape: &str) -> impl Strategy<Value = String> + use<> {
    string_regex(shape).expect("a shape")
}

/// Pieces put together, each drawn from a list or made of any bytes.
fn pieces(known: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let known = select(known).prop_map(|piece| piece.as_bytes().to_vec());
    let piece = Union::new_weighted(vec![(12, known.boxed()), (1, vec(any::<u8>(), 0..6).boxed())]);
    vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

/// The same behind one byte of any value.
fn pieces_of_a_size(known: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), pieces(known, most)).prop_map(|(size, stream)| [vec![size % 40], stream].concat())
}

#[test]
fn a_count_a_path_and_a_host_read_as_their_models_do() {
    let key = select(vec!["queries", "count", "Queries", "xqueries", "queriesx", "", "q%75eries"]);
    let value = Union::new([text("[0-9]{0,30}").boxed(), text("[+ -]?[0-9.]{0,5}[a-z%]{0,2}").boxed()]);
    let pair =
        (key, select(vec!["=", "==", ""]), value).prop_map(|(key, is, value)| [key, is, &value].concat());
    let query = vec(pair, 0..4).prop_map(|pairs| pairs.join("&"));
    let paths = vec![
        "/queries",
        "/cached-queries",
        "/json",
        "/",
        "/Json",
        "//json",
        "/json/",
        "*",
        "http://a/db",
        "a:1",
    ];
    let host = text(r"[a-z0-9._~%!$&'()*+,;=-]{0,12}(\[[0-9a-f:.]{0,8}\]?)?(:[0-9]{0,6})?[ -~]{0,1}");
    let inputs = (select(paths), select(vec!["?", "", "#"]), query, host)
        .prop_map(|(path, mark, query, host)| format!("{path}{mark}{query}\n{host}").into_bytes());
    hold("tests/regressions/target.txt", inputs, |input| target(&input));
}

#[test]
fn heads_end_where_hypers_parser_says_however_the_stream_is_cut() {
    const PIECES: &[&str] = &[
        "GET /json HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /lab/echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        "POST /lab/echo?x HTTP/1.1\r\n",
        "Content-Length: 5\r\n",
        "content-length:1\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: a\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        " ",
        ":",
        "X : y\r\n",
        " folded\r\n",
        "\0",
        "0\r\n",
    ];
    hold_for(2_000, "tests/regressions/heads.txt", pieces_of_a_size(PIECES, 14), |input| heads(&input));
}

#[test]
fn what_a_measured_server_sends_reads_the_same_in_any_pieces() {
    const PIECES: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 503 x\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Connection: close\r\n",
        "\r\n",
        "3\r\nabc\r\n",
        "ffffffffffffffff\r\n",
        "fffffffffffffffff\r\n",
        "0\r\n\r\n",
        "0\r\nA: b\r\n\r\n",
        "abc",
        "\n",
        "\r",
    ];
    hold("tests/regressions/responses.txt", pieces_of_a_size(PIECES, 10), |input| responses(&input));
}

#[test]
fn each_answer_of_postgresql_goes_to_who_asked_or_the_connection_ends() {
    let tag =
        Union::new_weighted(vec![(12, select(b"ZZZDDCE12NSAIT".to_vec()).boxed()), (1, any::<u8>().boxed())]);
    let body = Union::new_weighted(vec![
        (4, Just(Vec::new()).boxed()),
        (2, vec(any::<u8>(), 0..40).boxed()),
        (2, Just(b"SERROR\0C42P01\0Mno\0\0".to_vec()).boxed()),
        (
            2,
            any::<i32>()
                .prop_map(|number| [b"\0\x01\0\0\0\x04".to_vec(), number.to_be_bytes().to_vec()].concat())
                .boxed(),
        ),
    ]);
    // Lengths are true but for one in sixteen.
    let message = (tag, body, 0..16_i32).prop_map(|(tag, body, lie)| {
        let length = i32::try_from(body.len()).expect("a short body") + 4 + if lie == 0 { -6 } else { 0 };
        [vec![tag], length.to_be_bytes().to_vec(), body].concat()
    });
    let inputs = (any::<[u8; 2]>(), vec(message, 0..12), 0..3_usize).prop_map(|(script, messages, cut)| {
        let mut stream = [script.to_vec(), messages.concat()].concat();
        stream.truncate(stream.len().saturating_sub(cut).max(2));
        stream
    });
    hold("tests/regressions/answers.txt", inputs, |input| answers(&input));
}

#[test]
fn any_text_of_settings_gives_values_that_read_the_same_again_or_a_refusal_with_words() {
    let command = crate::cli::command();
    let serve = command.find_subcommand("serve").expect("the command");
    let flags = serve.get_arguments().filter_map(|flag| flag.get_long().map(str::to_owned));
    let key = Union::new_weighted(vec![
        (12, select(flags.collect::<Vec<_>>()).boxed()),
        (1, text("[a-z_-]{0,12}").boxed()),
        (1, Just("[serve]\nport".to_owned()).boxed()),
    ]);
    let values = vec![
        "1",
        "0",
        "-1",
        "4.5",
        "true",
        "false",
        "'yes'",
        "'off'",
        "'auto'",
        "'3-6'",
        "'1s'",
        "'0s'",
        "'refuse'",
        "'shared'",
        "'direct'",
        "'127.0.0.1:1'",
        "['127.0.0.1:1', '[::1]:2']",
        "[]",
        "'postgres://me@db/x'",
        "1979-05-27",
        "{}",
        "''",
    ];
    let value = Union::new_weighted(vec![
        (6, select(values).prop_map(str::to_owned).boxed()),
        (1, any::<i64>().prop_map(|number| number.to_string()).boxed()),
        (2, any::<String>().prop_map(|any| format!("{:?}", any.replace('\\', ""))).boxed()),
        (1, text("\\PC{0,20}").boxed()),
    ]);
    let line = (key, value).prop_map(|(key, value)| format!("{key} = {value}"));
    let file = vec(line, 0..3).prop_map(|lines| lines.join("\n"));
    let word = Union::new([
        select(vec![
            "serve", "load", "sweep", "doctor", "--port", "-c", "--rate=5", "http://a", "--grid", "--",
        ])
        .prop_map(str::to_owned)
        .boxed(),
        text("-{0,2}[a-z-]{0,12}(=\\PC{0,8})?").boxed(),
    ]);
    let words = vec(word, 0..5).prop_map(|words| format!("\0{}", words.join("\n")));
    // Each input builds the whole command line several times, hence fewer of them.
    hold_for(96, "tests/regressions/settings.txt", Union::new([file.boxed(), words.boxed()]), |input| {
        settings(input.as_bytes());
    });
}

#[test]
fn no_address_shows_its_password_or_breaks_a_request() {
    let url = (
        select(vec!["postgres://", "postgresql://", "http://", "", "mysql://"]),
        text("([a-z]{0,4}(:[a-z0-9%@/?#&=' -]{0,10}S3cretW0rd[a-z0-9%@/?#&=' -]{0,3})?@)?"),
        text("[a-z0-9.,%-]{0,9}(:[0-9,]{0,6})?(/[a-z%]{0,5})?"),
        text("(\\?(sslmode|password|host|port|options|connect_timeout|x)=[a-zA-Z0-9,%/-]{0,9}(&password=S3cretW0rd)?)?"),
    )
        .prop_map(|(scheme, user, host, query)| [scheme, &user, &host, &query].concat());
    let key =
        select(vec!["host", "hostaddr", "port", "user", "password", "dbname", "sslmode", "options", "x"]);
    let pair = (key, text("('[^'\\\\]{0,8}'|[a-zA-Z0-9.,/:-]{0,9}|S3cretW0rd)"))
        .prop_map(|(key, value)| format!("{key}={value}"));
    let pairs = vec(pair, 0..5).prop_map(|pairs| pairs.join(" "));
    let group = text("([0-9]{1,2}:(|memory|cpu,cpuacct|name=systemd):/{0,2}([a-z.]{0,4}/){0,3}\n){0,3}");
    let other = text(
        "(http://[a-z:@\\[\\]0-9/?#%]{0,14}|/[a-z?=&0-9]{0,10}|[A-Za-z-]{0,6}: ?\\PC{0,5}|[0-9.]{1,5}(ms|s|m|h))",
    );
    let inputs = Union::new([url.boxed(), pairs.boxed(), group.boxed(), other.boxed()]);
    hold_for(2_000, "tests/regressions/address.txt", inputs, |input| address(input.as_bytes()));
}

/// Words that stand in no message of ours.
const SECRETS: [&str; 4] = ["xq7w", "zk9v", "jh5p", "vb3y"];

#[test]
fn no_part_of_a_password_is_shown_however_its_signs_were_left_unescaped() {
    let secret = select(SECRETS.to_vec()).prop_map(str::to_owned);
    let sign = text("[?@/#:&=%\\[\\]' ,;!$*+\\\\-]{1,2}");
    let piece =
        Union::new_weighted(vec![(3, secret.boxed()), (2, sign.boxed()), (1, text("[0-9]{1,2}").boxed())]);
    let password = vec(piece, 1..7).prop_map(|pieces| pieces.concat());
    let scheme = select(vec!["postgres://", "postgresql://", "postgres:", ""]);
    let host =
        select(vec!["@db", "@db:5432/x", "@db/x?sslmode=disable", "@db/x?ssl_mode=a", "@a,b:1,2/x", "", "@"]);
    let inputs = (scheme, password, host).prop_map(|(scheme, password, host)| {
        let is_whole = host.starts_with('@') && scheme.ends_with("://");
        (format!("{scheme}me:{password}{host}"), is_whole)
    });
    hold_for(2_000, "tests/regressions/passwords.txt", inputs, |(url, is_whole)| {
        expect_no_secret(&url, is_whole);
    });
}

/// Nothing that is said of an address, whether it can be read or not, holds a word of its password. Where the `@` behind a password is left
/// out (it is not `whole`) and the rest can be read, what stands in its place is a host, a port and a database.
fn expect_no_secret(url: &str, is_whole: bool) {
    use crate::config::{database::Target, report};
    use crate::database::target::{configuration, describe};

    let expect_hidden = |what: &str, said: &str| {
        assert!(!SECRETS.iter().any(|secret| said.contains(secret)), "{what} of {url:?}: {said}");
    };
    let target = Target::Given { url: Some(url.to_owned()), variables: Box::default() };
    match configuration(&target) {
        Err(error) => expect_hidden("the refusal", &error.to_string()),
        Ok(config) if is_whole => {
            expect_hidden("the description", &config.map(|config| describe(&config)).unwrap_or_default());
        }
        Ok(_) => {}
    }
    if is_whole {
        expect_hidden("the setting", &report::mask(url));
    }
}

#[test]
fn every_seed_of_the_fuzz_targets_holds() {
    for (name, check) in ALL {
        let folder = format!("{}/fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut seeds = 0;
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}")) {
            check(&std::fs::read(entry.expect("a seed").path()).expect("a seed"));
            seeds += 1;
        }
        assert!(seeds > 0, "no seeds in {folder}");
    }
}
