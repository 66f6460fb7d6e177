//! Files and previews that break a rule of the format are rejected with the right error.

use aez::{Decoder, Limits, preview};

use super::{MODELS, REJECTED, Rejection, bytes, json, kind, model, path};

#[test]
fn files_that_break_a_rule_are_rejected() {
    for (folder, name) in REJECTED {
        let model = model(name);
        let rejections: Vec<Rejection> = json(&format!("{folder}/rejected.json"));
        for Rejection { input, kind: expected, message } in &rejections {
            let error = Decoder::new(&model).decode(&bytes(&format!("{folder}/{input}"))).expect_err(input);
            let found = error.to_string();
            assert_eq!(kind(&error), expected, "{input}: {found}");
            assert!(found.contains(message), "{input}: {found:?} does not contain {message:?}");
        }
        let files = std::fs::read_dir(path(folder)).unwrap().count();
        assert_eq!(files, rejections.len() + 1, "each file has an entry in rejected.json");
    }
}

#[test]
fn texts_that_are_no_previews_are_rejected() {
    let model = model(MODELS[0]);
    for Rejection { input, kind: expected, message } in json::<Vec<Rejection>>("rejected_previews.json") {
        let error = preview::decode(&model, &input, None, &Limits::default()).expect_err(&input);
        let found = error.to_string();
        assert_eq!(kind(&error), expected, "{input}: {found}");
        assert!(found.contains(&message), "{input}: {found:?} does not contain {message:?}");
    }
}

/// Untrusted text could be markup or control sequences of a terminal.
#[test]
fn messages_do_not_repeat_untrusted_text() {
    let model = model(MODELS[0]);
    for text in ["\u{1b}[31mred", "<script>", "AAAA\r\naez: all is well", "\u{202e}AAAA"] {
        let message = preview::decode(&model, text, None, &Limits::default()).unwrap_err().to_string();
        assert!(message.chars().all(|c| !c.is_control() && !"<>\u{202e}".contains(c)), "{message:?}");
    }
}
