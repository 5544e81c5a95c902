//! Trees with several things that say classes: what each form of them gives is written out by hand, image by image. Where they contradict each
//! other nothing is packed.

use super::common::rounds;
use super::forms::{content, forms};
use super::sources::write;
use super::zips::zip_of;
use imagenet_engine::data::Split;
use imagenet_engine::data::Split::{Train, Val};
use imagenet_engine::data::source::{Listing, SourceOptions, open, split_named};
use imagenet_engine::rng::{Purpose, Stream};
use std::collections::BTreeMap;
use std::path::Path;

/// The class of each image, by the name that is in its bytes.
pub fn labels(listing: &Listing) -> BTreeMap<String, String> {
    let one = |f: &imagenet_engine::data::source::SourceFile| {
        let bytes = String::from_utf8(content(listing, f).unwrap_or_else(|why| format!("bad {}: {why}", f.path).into_bytes())).unwrap();
        let name = bytes.trim_matches('\x7f').trim_start_matches("image ").to_owned();
        (name, listing.classes[f.label as usize].clone())
    };
    listing.files.iter().map(one).collect()
}

pub fn owed(text: &str) -> BTreeMap<String, String> {
    text.split_whitespace().map(|p| p.split_once('=').unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// As a folder, a tar and a zip: these classes of these images, or a question with these words.
pub fn check(tree: &[&str], split: Split, expected: Result<&str, &str>) {
    let tmp = tempfile::tempdir().unwrap();
    for input in &forms(tmp.path(), tree)[..3] {
        check_one(input, split, expected, &format!("{tree:?}"));
    }
}

pub fn check_one(input: &Path, split: Split, expected: Result<&str, &str>, what: &str) {
    let name = input.file_name().unwrap().to_string_lossy().into_owned();
    match (open(input, &SourceOptions::default(), split), expected) {
        (Ok(listing), Ok(text)) => assert_eq!(labels(&listing), owed(text), "{name} of {what}: {:?}", listing.notes),
        (Err(e), Err(words)) => {
            assert!(e.to_string().contains(words) && e.exit_code() == 2, "{name} of {what}: {e}");
        }
        (Ok(listing), Err(words)) => panic!("{name} of {what}: {:?}, not {words}", labels(&listing)),
        (Err(e), Ok(_)) => panic!("{name} of {what}: {e}"),
    }
}

pub const FOUR: &str = "0.png,cat\\n1.png,dog\\n2.png,cat\\n3.png,dog\\n";
pub const SWAPPED: &str = "0.png,dog\\n1.png,cat\\n2.png,dog\\n3.png,cat\\n";

fn meta(text: &str) -> String {
    let rows = text.split("\\n").filter(|l| !l.is_empty());
    rows.map(|r| r.split_once(',').unwrap()).map(|(f, l)| format!("{{\"file_name\":\"{f}\",\"label\":\"{l}\"}}\\n")).collect()
}

fn list(text: &str, folder: &str) -> String {
    text.split("\\n").filter(|l| !l.is_empty()).map(|l| format!("{folder}{}\\n", l.replace(',', " "))).collect()
}

#[test]
fn label_files_that_contradict_are_asked_about() {
    let asks = |tree: &[&str], words| check(tree, Train, Err(words));
    let images = "images/{0,1,2,3}.png";
    let labels = format!("labels.csv={FOUR}");
    asks(&[images, &labels, &format!("images/metadata.jsonl={}", meta(SWAPPED))], "contradict each other");
    asks(&[images, &labels, &format!("images/labels.csv={SWAPPED}")], "contradict each other");
    asks(&[images, &labels, &format!("train.txt={}", list(SWAPPED, "images/"))], "may be read as");
    asks(&[images, &format!("train.txt={}", list(FOUR, "images/")), &format!("images/metadata.jsonl={}", meta(SWAPPED))], "may be read as");
    asks(&[images, &format!("meta/labels.csv={SWAPPED}"), &format!("train.txt={}", list(FOUR, "images/"))], "may be read as");
    // Class folders.
    let classes = "{cat,dog}/{0,1}.png";
    let of = |a: &str, b: &str| format!("labels.csv=cat/0.png,{a}\\ncat/1.png,{a}\\ndog/0.png,{b}\\ndog/1.png,{b}\\n");
    asks(&[classes, &of("dog", "cat")], "may be read as");
    asks(&[classes, "labels.csv=cat/0.png,x\\ncat/1.png,y\\ndog/0.png,x\\ndog/1.png,y\\n"], "may be read as");
    asks(&["{cat,dog}/{0,1}.png", "meta/labels.csv=cat/0.png,x\\ncat/1.png,y\\ndog/0.png,x\\ndog/1.png,y\\n"], "may be read as");
    asks(
        &[
            "images/{cat,dog}/{0,1}.png",
            "train.txt=images/cat/0.png dog\\nimages/cat/1.png cat\\nimages/dog/0.png cat\\nimages/dog/1.png dog\\n",
        ],
        "may be read as",
    );
    // A dataset beside a figure.
    asks(&["ds/images/{0,1,2,3}.png", "doc/fig.png", &format!("ds/labels.csv={FOUR}")], "may be read as");
    asks(&["ds/images/{0,1,2,3}.png", "doc/fig.png", &format!("ds/train.txt={}", list(FOUR, "images/"))], "may be read as");
    asks(&["ds/train/{0,1,2,3}.png", "doc/fig.png", &format!("ds/train/metadata.csv=file_name,label\\n{FOUR}")], "may be read as");
    // A list that leaves out images which a label file knows.
    asks(&[images, &labels, "train.txt=images/0.png cat\\nimages/1.png dog\\n"], "leaves out");
}

#[test]
fn what_says_the_same_needs_no_question() {
    let of = |tree: &[&str], expected| check(tree, Train, Ok(expected));
    let images = "images/{0,1,2,3}.png";
    let four = "images/0.png=cat images/1.png=dog images/2.png=cat images/3.png=dog";
    of(&[images, &format!("labels.csv={FOUR}"), &format!("images/metadata.jsonl={}", meta(FOUR))], four);
    of(&[images, &format!("labels.csv={FOUR}"), &format!("train.txt={}", list(FOUR, "images/"))], four);
    of(&[images, "labels.csv=0.png,0\\n1.png,1\\n2.png,0\\n3.png,1\\n", &format!("train.txt={}", list(FOUR, "images/"))], four);
    let folders = "cat/0.png=cat cat/1.png=cat dog/0.png=dog dog/1.png=dog";
    of(&["{cat,dog}/{0,1}.png", "labels.csv=cat/0.png,cat\\ncat/1.png,cat\\ndog/0.png,dog\\ndog/1.png,dog\\n"], folders);
    of(&["{cat,dog}/{0,1}.png", "labels.csv=cat/0.png,7\\ncat/1.png,7\\ndog/0.png,3\\ndog/1.png,3\\n"], folders);
    let own = "/metadata.csv=file_name,label\\n0.png,x\\n1.png,x\\n";
    of(&["{cat,dog}/{0,1}.png", &format!("cat{own}"), &format!("dog{own}")], folders);
    let wrapped = "ds/images/0.png=cat ds/images/1.png=dog ds/images/2.png=cat ds/images/3.png=dog";
    of(&["ds/images/{0,1,2,3}.png", &format!("labels.csv={FOUR}")], wrapped);
    // Two files that each know a half.
    of(
        &[
            images,
            "labels.csv=0.png,cat\\n1.png,dog\\n",
            "images/metadata.jsonl={\"file_name\":\"2.png\",\"label\":\"cat\"}\\n{\"file_name\":\"3.png\",\"label\":\"dog\"}\\n",
        ],
        four,
    );
    // The rest is of the other split.
    check(
        &[
            images,
            &format!("labels.csv={FOUR}"),
            "train.txt=images/0.png cat\\nimages/1.png dog\\n",
            "val.txt=images/2.png cat\\nimages/3.png dog\\n",
        ],
        Train,
        Ok("images/0.png=cat images/1.png=dog"),
    );
}

#[test]
fn labels_in_each_folder_and_above_one_are_used() {
    check(
        &[
            "{a,b}/{0,1}.png",
            &format!("a/metadata.jsonl={}", meta("0.png,cat\\n1.png,dog\\n")),
            &format!("b/metadata.jsonl={}", meta("0.png,dog\\n1.png,cat\\n")),
        ],
        Train,
        Ok("a/0.png=cat a/1.png=dog b/0.png=dog b/1.png=cat"),
    );
    let labels = "labels.csv=train/x/0.png,c0\\ntrain/x/1.png,c1\\nval/x/0.png,c1\\nval/x/1.png,c0\\n";
    for (split, owed) in [(Train, "train/x/0.png=c0 train/x/1.png=c1"), (Val, "val/x/0.png=c1 val/x/1.png=c0")] {
        check(&["{train,val}/x/{0,1}.png", labels], split, Ok(owed));
    }
}

#[test]
fn columns_and_lists_say_the_split() {
    let column = "labels.csv=image,label,split\\n0.png,cat,train\\n1.png,dog,train\\n2.png,cat,val\\n3.png,dog,val\\n";
    let flag = "labels.csv=image,label,is_valid\\n0.png,cat,False\\n1.png,dog,False\\n2.png,cat,True\\n3.png,dog,True\\n";
    for labels in [column, flag] {
        check(&["images/{0,1,2,3}.png", labels], Train, Ok("images/0.png=cat images/1.png=dog"));
        check(&["images/{0,1,2,3}.png", labels], Val, Ok("images/2.png=cat images/3.png=dog"));
    }
    check(&["images/{0,1}.png", "labels.csv=image,label,split\\n0.png,cat,0\\n1.png,dog,1\\n"], Train, Err("holds numbers"));
    // Food-101.
    let food = ["images/{cat,dog}/{0,1,2}.jpg", "meta/train.txt=cat/0\\ncat/1\\ndog/0\\ndog/1\\n", "meta/val.txt=cat/2\\ndog/2\\n"];
    check(&food, Val, Ok("images/cat/2.jpg=cat images/dog/2.jpg=dog"));
    check(&food, Train, Ok("images/cat/0.jpg=cat images/cat/1.jpg=cat images/dog/0.jpg=dog images/dog/1.jpg=dog"));
    check(&[food[0], food[1], "meta/test.txt=cat/2\\ndog/2\\n"], Val, Err("no list of the split val"));
    check(&[food[0], food[1]], Train, Err("may be read as"));
    check(
        &["images/{a,b}/{0,1}.jpg", "labels/train1.txt=a/0.jpg\\nb/0.jpg\\n", "labels/train2.txt=a/1.jpg\\nb/1.jpg\\n"],
        Train,
        Err("several lists"),
    );
    // CUB-200.
    let cub = [
        "images/{001.A,002.B}/{x,y}.jpg",
        "images.txt=1 001.A/x.jpg\\n2 001.A/y.jpg\\n3 002.B/x.jpg\\n4 002.B/y.jpg\\n",
        "image_class_labels.txt=1 1\\n2 1\\n3 2\\n4 2\\n",
        "train_test_split.txt=1 1\\n2 0\\n3 1\\n4 0\\n",
        "classes.txt=1 001.A\\n2 002.B\\n",
    ];
    check(&cub, Train, Ok("images/001.A/x.jpg=001.A images/002.B/x.jpg=002.B"));
    let wrong = [cub[0], cub[1], "image_class_labels.txt=1 2\\n2 1\\n3 2\\n4 1\\n", cub[3], cub[4]];
    check(&wrong, Train, Err("lies in the folder of another class"));
    check(&cub, Val, Ok("images/001.A/y.jpg=001.A images/002.B/y.jpg=002.B"));
}

/// The folder `test` packed as val uses the lines of test.
#[test]
fn a_folder_of_another_split_has_labels_of_its_own() {
    let tmp = tempfile::tempdir().unwrap();
    let one = "labels.csv=f,label,split\\n0.png,c0,train\\n1.png,c1,train\\n0.png,c1,test\\n1.png,c0,test\\n";
    let own = ["train.csv=0.png,c0\\n1.png,c1\\n", "test.csv=0.png,c1\\n1.png,c0\\n"];
    for (n, more) in [vec![one], own.to_vec()].into_iter().enumerate() {
        let tree: Vec<&str> = ["{train,test}/{0,1}.png"].into_iter().chain(more).collect();
        for input in &forms(&tmp.path().join(n.to_string()), &tree)[..3] {
            check_one(&input.join("test"), Val, Ok("test/0.png=c1 test/1.png=c0"), &format!("{tree:?}"));
        }
    }
    for (name, part) in [("x.zip/val.txt", "val"), ("x.zip/test.txt", "test")] {
        write(&tmp.path().join("x.zip"), &zip_of(&[("val.txt".to_owned(), &b"a b"[..])]));
        assert_eq!(split_named(&tmp.path().join(name)).map(|p| p.name()), Some(part));
    }
}

#[test]
fn labels_beside_images_are_held_against_lists_and_folders() {
    let json = |l: [u8; 4]| (0..4).map(|i| format!("s/{i}.json={{\"label\": {}}}", l[i])).collect::<Vec<_>>();
    let tree =
        |list: &str, l| -> Vec<String> { ["s/{0,1,2,3}.jpg".to_owned(), format!("train.txt={list}")].into_iter().chain(json(l)).collect() };
    let list = "s/0.jpg dog\\ns/1.jpg cat\\ns/2.jpg dog\\ns/3.jpg cat\\n";
    let slices = |t: &[String]| -> Vec<String> { t.to_vec() };
    let with = |t: Vec<String>, expected| check(&slices(&t).iter().map(String::as_str).collect::<Vec<_>>(), Train, expected);
    with(tree(list, [0, 0, 1, 1]), Err("may be read as"));
    with(tree(list, [0, 1, 0, 1]), Ok("s/0.jpg=dog s/1.jpg=cat s/2.jpg=dog s/3.jpg=cat"));
    let folders: Vec<String> = ["{cat,dog}/{0,1}.jpg".to_owned()]
        .into_iter()
        .chain(["cat/0", "cat/1", "dog/0", "dog/1"].iter().zip([0, 1, 0, 1]).map(|(k, l)| format!("{k}.json={{\"label\": {l}}}")))
        .collect();
    with(folders, Err("may be read as"));
}

/// Names that lie beside the images never add a class, and two that differ are asked about.
#[test]
fn class_names_beside_images_fit_or_are_left() {
    let images = ["val/{0,1,2,3}.png", "val.txt=0.png 0\\n1.png 1\\n2.png 0\\n3.png 1\\n"];
    let many: String = (10..99).map(|n| format!("n014407{n} bird{n}\\n")).collect();
    let four = |a: &str, b: &str| format!("val/0.png={a} val/1.png={b} val/2.png={a} val/3.png={b}");
    check(&[images[0], images[1], &format!("synset_words.txt={many}")], Val, Ok(&four("0", "1")));
    let two = "synset_words.txt=n01440764 tench\\nn01443537 goldfish\\n";
    check(&[images[0], images[1], two], Val, Ok(&four("n01440764", "n01443537")));
    let other = "LOC_synset_mapping.txt=n01443537 goldfish\\nn01440764 tench\\n";
    check(&[images[0], images[1], two, other], Val, Err("name the classes otherwise"));
}

/// Trees at random with two witnesses that differ: a question, or the labels of one of them whole, the same in every form.
#[test]
fn planted_contradictions_never_give_other_labels() {
    let (mut asked, mut taken) = (0, 0);
    for round in 0..rounds(120, 4000) {
        let mut s = Stream::new(91, Purpose::Test, 0, round as u64);
        let count = 6 + s.below(6) as usize;
        let folder = ["", "images/", "ds/", "ds/images/", "train/", "a/b/"][s.below(6) as usize];
        let by_class = s.below(3) == 0;
        let name = |i: usize| format!("i{i}.png");
        let first: Vec<usize> = (0..count).map(|i| i % 2).collect();
        let mut second = first.clone();
        let agree = s.below(4) == 0;
        while !agree && (second == first || second.iter().collect::<std::collections::HashSet<_>>().len() < 2) {
            second = (0..count).map(|_| s.below(2) as usize).collect();
        }
        let class = |c: usize| ["cat", "dog"][c];
        let path = |i: usize| if by_class { format!("{folder}{}/{}", class(first[i]), name(i)) } else { format!("{folder}{}", name(i)) };
        let mut tree: Vec<String> = (0..count).map(path).collect();
        let top = folder.split_inclusive('/').next().unwrap_or("");
        let mut file = |labels: &[usize], n: u64| {
            let at = [folder, top, ""][s.below(3) as usize];
            let below = |i: usize| path(i).strip_prefix(at).unwrap().to_owned();
            let rows = |sep: &str, whole: bool| -> String {
                (0..count).map(|i| format!("{}{sep}{}\\n", if whole { below(i) } else { name(i) }, class(labels[i]))).collect()
            };
            match s.below(4) {
                0 => format!("{at}labels.csv={}", rows(",", false)),
                1 => format!("{at}metadata.csv=file_name,label\\n{}", rows(",", true)),
                2 => format!("{at}train.txt={}", rows(" ", true)),
                _ => format!("{at}train_labels.csv={}", rows(",", n == 0)),
            }
        };
        let mut files = vec![file(&second, 0)];
        if !by_class {
            files.push(file(&first, 1));
        }
        if files.len() == 2 && files[0].split('=').next() == files[1].split('=').next() {
            continue;
        }
        tree.extend(files);
        let tmp = tempfile::tempdir().unwrap();
        let tree: Vec<&str> = tree.iter().map(String::as_str).collect();
        let mut told: Vec<Result<BTreeMap<String, String>, String>> = Vec::new();
        for input in &forms(tmp.path(), &tree)[..3] {
            told.push(match open(input, &SourceOptions::default(), Train) {
                Ok(listing) => Ok(labels(&listing)),
                Err(e) => Err(e.to_string().replace(&input.display().to_string(), "INPUT")),
            });
        }
        assert!(told.windows(2).all(|w| w[0] == w[1]), "round {round}: {tree:?}: {told:?}");
        let whole = |of: &[usize]| (0..count).map(|i| (path(i), class(of[i]).to_owned())).collect::<BTreeMap<_, _>>();
        match &told[0] {
            Ok(found) => {
                assert!(agree, "round {round}: two witnesses contradict, and no question: {tree:?}: {found:?}");
                assert_eq!(*found, whole(&first), "round {round}: {tree:?}");
                taken += 1;
            }
            Err(_) => asked += 1,
        }
    }
    assert!(asked > 40 && taken > 8, "{asked} asked, {taken} taken");
}
