//! What breaks a rule of the format is refused, for the right reason.

use aez::codec::{Decoder, preview};

use super::{MODELS, Refusal, bytes, json, kind, model, path};

#[test]
fn files_that_break_a_rule_are_refused() {
    let model = model(MODELS[0]);
    let refusals: Vec<Refusal> = json("rejected/rejected.json");
    for Refusal { input, kind: expected, message } in &refusals {
        let error = Decoder::new(&model).decode(&bytes(&format!("rejected/{input}"))).expect_err(input);
        let found = error.to_string();
        assert_eq!(kind(&error), expected, "{input}: {found}");
        assert!(found.contains(message), "{input}: {found:?} does not say {message:?}");
    }
    let files = std::fs::read_dir(path("rejected")).unwrap().count();
    assert_eq!(files, refusals.len() + 1, "each file has an entry in rejected.json");
}

#[test]
fn texts_that_are_no_previews_are_refused() {
    let model = model(MODELS[0]);
    for Refusal { input, kind: expected, message } in json::<Vec<Refusal>>("rejected_previews.json") {
        let error = preview::decode(&model, &input, None).expect_err(&input);
        let found = error.to_string();
        assert_eq!(kind(&error), expected, "{input}: {found}");
        assert!(found.contains(&message), "{input}: {found:?} does not say {message:?}");
    }
}

/// What a stranger's text says could be markup, or orders to a terminal.
#[test]
fn messages_do_not_repeat_what_a_stranger_wrote() {
    let model = model(MODELS[0]);
    for hostile in ["\u{1b}[31mred", "<script>", "AAAA\r\naez: all is well", "\u{202e}AAAA"] {
        let message = preview::decode(&model, hostile, None).unwrap_err().to_string();
        assert!(message.chars().all(|c| !c.is_control() && !"<>\u{202e}".contains(c)), "{message:?}");
    }
}
