//! domain: Opt-outs that are not one word: with courtesies and signatures around the word, or in a sentence.
//!
//! Two answers, because two mistakes cost differently. A word of opting out among nothing but
//! courtesies *is* an opt-out ([`asks_to_stop`]): “Stop. Thank you”. What says more than that
//! is a *suspicion* ([`sounds_like_stop`]): nothing is written to them by campaigns and bots
//! until a human has looked. So the second leans to suspecting: a look too many costs a minute,
//! one too few writes to somebody who asked not to be written to.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;

/// A text as it is compared: letters of full width and other forms as the plain ones, one kind of
/// apostrophe, and nothing that cannot be seen.
pub fn visible(text: &str) -> String {
    let one_apostrophe = text.chars().map(|c| if "’‘´`ʼ".contains(c) { '\'' } else { c });
    let seen = one_apostrophe.filter(|c| !is_invisible(*c)).collect::<String>();
    seen.nfkc().collect()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// A word of a message.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    /// Small letters without accents and apostrophes.
    word: String,
    /// Written in capitals.
    loud: bool,
    /// It begins a part of the sentence, behind a sign or a line end.
    begins: bool,
}

/// The words of a text, without a signature below it.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut word, mut begins) = (String::new(), true);
    let text = visible(text);
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '\'' && !word.is_empty() {
            word.push(c);
        } else {
            end_word(&mut tokens, &mut word, &mut begins);
            let joins = match c {
                '-' | '_' | '/' | '*' | '\'' => {
                    before.is_alphanumeric() || chars.peek().is_some_and(|c| c.is_alphanumeric())
                }
                // An accent that no letter takes.
                '\u{300}'..='\u{36f}' => true,
                '\n' => false,
                c => c.is_whitespace(),
            };
            // “STOP - Anna”: two parts, and “opt-out” is one.
            begins |= !joins;
        }
        before = c;
    }
    end_word(&mut tokens, &mut word, &mut begins);
    if tokens.len() > 1 && tokens.iter().all(|token| token.word.chars().count() == 1) {
        let word: String = tokens.iter().map(|token| token.word.as_str()).collect();
        tokens = vec![Token { word, loud: false, begins: true }];
    }
    if let Some(at) = (1..tokens.len()).find(|at| SIGNATURES.iter().any(|it| reads(&tokens[*at..], it))) {
        tokens.truncate(at);
    }
    tokens
}

fn end_word(tokens: &mut Vec<Token>, word: &mut String, begins: &mut bool) {
    let folded = fold(word);
    if !folded.is_empty() {
        let loud = word.chars().count() > 1 && !word.chars().any(char::is_lowercase);
        tokens.push(Token { word: folded, loud, begins: *begins });
        *begins = false;
    }
    word.clear();
}

fn fold(word: &str) -> String {
    let apart: String = word.nfkd().collect();
    let letters = apart.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c) && *c != '\'');
    letters.flat_map(char::to_lowercase).collect()
}

/// Words that are looked for, one behind the other.
type Phrase = Vec<String>;

fn phrase(text: &str) -> Phrase {
    tokens(text).into_iter().map(|token| token.word).collect()
}

/// Phrases with commas between them.
fn phrases(line: &str) -> Vec<Phrase> {
    line.split(',').map(phrase).filter(|phrase| !phrase.is_empty()).collect()
}

/// Whether these words begin with that phrase, without a sign in between.
fn reads(tokens: &[Token], phrase: &Phrase) -> bool {
    !phrase.is_empty()
        && tokens.len() >= phrase.len()
        && tokens
            .iter()
            .zip(phrase)
            .enumerate()
            .all(|(n, (token, word))| token.word == *word && (n == 0 || !token.begins))
}

// What people put around the word that matters.

static SIGNATURES: LazyLock<Vec<Phrase>> = LazyLock::new(|| {
    // Not by [`phrase`], which looks for signatures itself.
    let texts = "sent from,sent via,get outlook,envoye de,envoye depuis,von meinem,gesendet von,gesendet mit,\
                 enviado desde,enviado do,enviado de,enviado por";
    texts.split(',').map(|text| text.split(' ').map(str::to_owned).collect()).collect()
});

/// Courtesies, haste, and what is to be stopped.
const FILLERS: &str = "please pls plz plse kindly thanks thank thankyou you u thx thnx tks ty cheers ta sorry sir madam \
    merci svp stp sil vous te plait bitte danke vielen dank por favor gracias muchas obrigado obrigada \
    now immediately asap already right today jetzt sofort maintenant ahora ya agora ja all \
    sms mms text texts txt txts message messages msg msgs reply answer notifications alerts \
    nachrichten werbung mensajes mensagens les los die as";

fn is_one_of(words: &str, word: &str) -> bool {
    words.split(' ').any(|it| it == word)
}

fn is_filler(word: &str) -> bool {
    is_one_of(FILLERS, word)
}

/// Words before one that asks for something: greetings, impatience, abuse.
fn leads_in(word: &str) -> bool {
    const LEADS: &str = "hi hello hey hallo hola ola bonjour dear ok okay no yes just so and but omg ffs wtf fuck fucking \
        fck shit damn guys people idiots morons can could would will must should";
    is_filler(word) || is_one_of(LEADS, word)
}

/// “stop” as fingers write it: STOPPPP, sotp, STOP2END.
fn is_stop(word: &str) -> bool {
    let mut letters: Vec<char> = word.chars().collect();
    letters.dedup();
    let said: String = letters.into_iter().collect();
    matches!(said.as_str(), "stop" | "sotp" | "stpo" | "tsop" | "stopal" | "stopit" | "stoptxt" | "stopsms")
        || word.strip_prefix("stop2").is_some_and(|rest| !rest.is_empty() && rest.chars().all(char::is_alphabetic))
}

/// Whether the word behind “stop” makes a place, a sign or a halt of it: “Stop by tomorrow?”
fn is_place(word: &str) -> bool {
    const PLACES: &str = "by at in on over for when where near off before after until here there sign signs light lights \
        watch press motion list is was are and or if to along outside next number no a an bei am im en \
        num nr";
    is_one_of(PLACES, word) || word.len() < 5 && word.chars().all(|c| c.is_ascii_digit())
}

// ---- certain ---------------------------------------------------------------------

/// Which of `words` a message consists of, with nothing but courtesies around it, and perhaps again and again.
/// `None`: none, or there is more in it.
pub fn asks_to_stop<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let said = tokens(text);
    let sought: Vec<(&str, Phrase)> = words.iter().map(|word| (*word, phrase(word))).collect();
    let (mut found, mut at) = (None, 0);
    while at < said.len() {
        let longest =
            sought.iter().filter(|(_, phrase)| reads(&said[at..], phrase)).max_by_key(|(_, phrase)| phrase.len());
        match longest {
            Some((word, phrase)) => (found, at) = (found.or(Some(*word)), at + phrase.len()),
            // STOP2END, as some messages ask for it.
            None if said[at].word.starts_with("stop2") && is_stop(&said[at].word) => {
                (found, at) = (found.or(words.iter().copied().find(|word| fold(word) == "stop")), at + 1);
            }
            None if is_filler(&said[at].word) => at += 1,
            None => return None,
        }
    }
    found
}

// ---- suspected -------------------------------------------------------------------

/// Sentences, and parts of such, by which people ask not to be written to.
static SENTENCES: LazyLock<Vec<Phrase>> = LazyLock::new(|| {
    let lines = include_str!("sentences.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(phrases).collect()
});

/// Words that ask for it where they are all that is said; in a sentence they may mean anything.
static ALONE: LazyLock<Vec<Phrase>> = LazyLock::new(|| {
    phrases(
        "go away, get lost, enough, remove, delete, spam, arrêtez, arrête, stoppez, ça suffit, basta, pare, parem, paren, pára, \
         chega, aufhören, aufhoeren, schluss, schluss damit, schluss jetzt, ruhe, stop it",
    )
});

/// A message without what it repeats of ours: lines marked as quoted, and the message under a reaction.
fn own_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('>')).collect();
    let text = lines.join("\n");
    if let Some((before, _)) = text.split_once(['“', '"', '„', '«']) {
        let said = before.trim().to_lowercase();
        // What messaging apps write when somebody only put a sign on a message: Liked “…”, 👍 to “…”.
        let reactions =
            ["liked", "loved", "disliked", "laughed at", "emphasized", "questioned", "reacted", "removed a"];
        let is_sign = said.ends_with(" to") && said.chars().count() < 12;
        if is_sign || reactions.iter().any(|word| said.starts_with(word) && said.split_whitespace().count() < 6) {
            return before.to_owned();
        }
    }
    text
}

/// Whether a message sounds like an opt-out in words of the contact's own.
///
/// `words` are those of opting out, and `natural` those among them that people also say in a
/// conversation: they count where they are all that is said.
pub fn sounds_like_stop(text: &str, words: &[&str], natural: &[&str]) -> bool {
    let text = own_words(text);
    if text.contains('🛑') && !text.chars().any(char::is_alphanumeric) {
        return true;
    }
    let said = tokens(&text);
    asks_to_stop(&text, natural).is_some()
        || is_all(&said, &ALONE)
        || (0..said.len()).any(|at| SENTENCES.iter().any(|sentence| asks_at(&said, at, sentence)))
        || parts(&said).any(|part| part_asks(part, words))
        || shouts_stop(&said)
}

/// Parts of the sentences: what stands between signs.
fn parts(said: &[Token]) -> impl Iterator<Item = &[Token]> {
    said.chunk_by(|_, next| !next.begins)
}

/// Whether it is one of these phrases, with nothing but what leads in to it around it.
fn is_all(said: &[Token], phrases: &[Phrase]) -> bool {
    let core: Vec<&Token> = said.iter().filter(|token| !leads_in(&token.word)).collect();
    phrases.iter().any(|phrase| phrase.iter().eq(core.iter().map(|token| &token.word)))
}

fn asks_at(said: &[Token], at: usize, sentence: &Phrase) -> bool {
    let is_halt =
        |next: &Token| sentence.last().is_some_and(|last| last == "stop") && !next.begins && is_place(&next.word);
    reads(&said[at..], sentence)
        && !said.get(at + sentence.len()).is_some_and(is_halt)
        && !is_denied(&said[..at], said[at].begins, &sentence[0])
}

/// Whether what stands before a word turns it round: “please don't unsubscribe me”.
fn is_denied(before: &[Token], begins: bool, word: &str) -> bool {
    const BETWEEN: &str = "want to wanna please ever need wish me you my ich mich will quiero quero veux be being yet";
    if begins {
        return false;
    }
    // Back to the beginning of this part.
    let from = before.iter().rposition(|token| token.begins).unwrap_or(0);
    let mut back = before[from..].iter().rev();
    let nearest = back.clone().next().map(|token| token.word.as_str());
    if word == "stop" && matches!(nearest, Some("cant" | "cannot" | "couldnt" | "dont" | "not" | "never" | "wont")) {
        return true;
    }
    let mut passed = None;
    while let Some(token) = back.next() {
        match token.word.as_str() {
            "dont" | "never" | "didnt" | "havent" | "without" | "nicht" | "nao" | "ne" => return true,
            "not" => {
                let verb = back.next().map(|token| token.word.as_str());
                return matches!(verb, None | Some("do" | "did" | "have" | "please" | "rather" | "to" | "pls"));
            }
            "no" => return matches!(passed, Some("me" | "quiero")),
            word if is_one_of(BETWEEN, word) => passed = Some(word),
            _ => return false,
        }
    }
    false
}

/// Whether a part of a message is an order to stop: the word and courtesies alone (“I never signed up. Stop!”),
/// or with what follows an order (“stop bothering people”).
fn part_asks(part: &[Token], words: &[&str]) -> bool {
    let begins: Vec<Token> = part.iter().skip_while(|token| leads_in(&token.word)).cloned().collect();
    let Some(first) = begins.first() else { return false };
    let is_word = |tokens: &[Token]| {
        words.iter().map(|word| phrase(word)).filter(|it| reads(tokens, it)).map(|it| it.len()).max()
    };
    let n = is_word(&begins).or(is_stop(&first.word).then_some(1));
    let ends = |token: &Token| leads_in(&token.word) || is_stop(&token.word);
    match n {
        None => false,
        Some(n) if begins[n..].iter().all(ends) => true,
        // “stop” gives an order whatever follows; words such as “baja” and “sair” only by themselves.
        Some(n) => is_stop(&first.word) && (n > 1 || !is_place(&begins[1].word)),
    }
}

/// Whether the word stands in capitals among small letters: “I told you people STOP”.
fn shouts_stop(said: &[Token]) -> bool {
    const NAMED: &str = "bus tram train next last first full non pit the a rest truck cant wont never";
    said.iter().any(|token| !token.loud && token.word.chars().any(char::is_alphabetic))
        && said.iter().enumerate().any(|(at, token)| {
            let named = at > 0 && !token.begins && is_one_of(NAMED, &said[at - 1].word);
            let place = said.get(at + 1).is_some_and(|next| !next.begins && is_place(&next.word));
            token.loud && is_stop(&token.word) && !named && !place && !is_denied(&said[..at], token.begins, "stop")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 14] = [
        "stop",
        "stop all",
        "stopall",
        "unsubscribe",
        "revoke",
        "optout",
        "opt out",
        "arrêt",
        "arrêter",
        "alto",
        "baja",
        "parar",
        "sair",
        "abmelden",
    ];
    const NATURAL: [&str; 3] = ["cancel", "end", "quit"];

    fn suspects(text: &str) -> bool {
        sounds_like_stop(text, &WORDS, &NATURAL)
    }

    #[test]
    fn the_word_with_courtesies_and_signatures_is_an_opt_out() {
        for text in [
            "stop please",
            "Please stop!",
            "Stop. Thank you",
            "STOP thanks",
            "stop stop",
            "stop stop STOP",
            "Reply STOP",
            "STOP\n\nSent from my iPhone",
            "stop Sent from my Galaxy",
            "STOP\n\nEnvoyé de mon iPhone",
            "Abmelden\nVon meinem iPhone gesendet",
            "stop now",
            "STOP all messages",
            "ARRET SMS",
            "arrêt svp",
            "STOP SVP MERCI",
            "baja, por favor",
            "parar por favor, obrigada",
            "bitte abmelden",
            "STOP2END",
            "ＳＴＯＰ",
            "ｓｔｏｐ ｐｌｅａｓｅ",
            "S\u{200b}T\u{200b}O\u{200b}P now",
            "S.T.O.P",
            "s t o p",
            "opt-out please",
            "unsubscribe, thx",
        ] {
            assert!(asks_to_stop(text, &WORDS).is_some(), "{text}");
        }
        for text in
            ["", "please", "thanks", "STOP - Anna", "stop it", "don't stop", "Stop by tomorrow?", "cancel please"]
        {
            assert_eq!(asks_to_stop(text, &WORDS), None, "{text}");
        }
        assert_eq!(asks_to_stop("arret sms", &WORDS), Some("arrêt"), "accents need not be typed");
        assert_eq!(asks_to_stop("stop all", &WORDS), Some("stop all"));
    }

    #[test]
    fn an_opt_out_in_their_own_words_is_suspected() {
        for text in [
            "Please STOP texting me!",
            "take me off your list",
            "Leave me alone",
            "I want to unsubscribe, ok?",
            "don’t text me again",
            "STOP - Anna",
            "Stop!!! I never signed up",
            "I never signed up. Stop!",
            "Hello, stop",
            "Hi stop spamming people",
            "stop u idiots",
            "fucking stop",
            "Fuck off",
            "sotp",
            "STOPPPP",
            "STOP 36180",
            "🛑",
            "delete my number",
            "Please delete my number, thanks",
            "remove me from your list",
            "I already said stop",
            "I told you people STOP",
            "why can't I unsubscribe?",
            "it does not unsubscribe me",
            "cancel please",
            "Enough!",
            "Ne m’écrivez plus",
            "Je veux me désabonner",
            "arretez de m'envoyer des sms",
            "No me escriban más",
            "quiero darme de baja",
            "Não quero mais receber mensagens",
            "me remova da lista",
            "Bitte keine Nachrichten mehr",
            "Ich möchte mich abmelden",
            "hört auf damit",
            "Lassen Sie mich in Ruhe!",
        ] {
            assert!(suspects(text), "{text}");
        }
    }

    #[test]
    fn what_only_holds_the_word_is_not() {
        for text in [
            "",
            "Thursday",
            "don't stop",
            "Please don't stop!",
            "the bus stop",
            "where is the bus stop",
            "WHERE IS THE BUS STOP",
            "I wait at the STOP",
            "Stop by tomorrow?",
            "Please stop by the office",
            "Can you please stop at 5?",
            "Stop 12, at the church",
            "I can't stop laughing",
            "I can't stop texting you",
            "please don't unsubscribe me",
            "Please do not unsubscribe me",
            "I don't want to unsubscribe",
            "I never opted out",
            "ich will mich nicht abmelden",
            "no quiero darme de baja",
            "ne me désinscrivez pas",
            "non-stop",
            "the end",
            "I have to cancel on Thursday",
            "Baja California",
            "el precio es alto",
            "vou sair agora de casa",
            "Liked “Your table is booked. Reply STOP to opt out”",
            "👍 to “Reply STOP to opt out”",
            "> Reply STOP to opt out\nYes, at nine",
        ] {
            assert!(!suspects(text), "{text}");
        }
    }
}
