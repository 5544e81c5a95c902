//! Layouts that people really have, each as a folder, a tar and two zips: the same classes, records and bytes from each, or a refusal.
//! What each should give is written out by hand.

use super::common::rounds;
use super::sources::{tar_of, write};
use super::zips::zip_of;
use imagenet_engine::data::Split;
use imagenet_engine::data::source::{Kind, Listing, SourceFile, SourceOptions, open};
use imagenet_engine::rng::{Purpose, Stream};
use std::path::{Path, PathBuf};

/// `a/{b,c}/{0,1}.png` in full.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap();
    choices.split(',').flat_map(|c| expand(&format!("{before}{c}{after}"))).collect()
}

/// Files and their contents. `NAME=CONTENT`, or a name; a name that ends with `/` is a folder without files.
fn files(tree: &[&str]) -> Vec<(String, Vec<u8>)> {
    let one = |entry: &&str| match entry.split_once('=') {
        Some((name, content)) => vec![(name.to_owned(), content.replace("\\n", "\n").replace("\\t", "\t").into_bytes())],
        None => expand(entry).into_iter().map(|n| (n.clone(), format!("\x7fimage {n}\x7f").into_bytes())).collect(),
    };
    tree.iter().flat_map(one).collect()
}

/// The tree as a folder, as a tar, as a zip, and as a zip of a folder that holds it.
pub fn forms(root: &Path, tree: &[&str]) -> Vec<PathBuf> {
    let all = files(tree);
    let folder = root.join("some");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, content) in &all {
        match name.ends_with('/') {
            true => std::fs::create_dir_all(folder.join(name)).unwrap(),
            false => write(&folder.join(name), content),
        }
    }
    let members = |above: &str| -> Vec<(String, &[u8])> {
        let content = |(name, bytes): &'_ (String, Vec<u8>)| if name.ends_with('/') { 0 } else { bytes.len() };
        all.iter().map(|f| (format!("{above}{}", f.0), &f.1[..content(f)])).collect()
    };
    // Zips keep no `./` at the front; tars that `tar cf x.tar .` made do.
    write(&root.join("some.tar"), &tar_of(&members("./")));
    write(&root.join("some.zip"), &zip_of(&members("")));
    let mut reversed = members("some-master/");
    reversed.reverse();
    write(&root.join("wrapped.zip"), &zip_of(&reversed));
    [folder, root.join("some.tar"), root.join("some.zip"), root.join("wrapped.zip")].to_vec()
}

/// Records with their classes and bytes.
fn records(listing: &Listing) -> Vec<(String, String, Vec<u8>)> {
    let one = |f: &SourceFile| (f.path.clone(), listing.classes[f.label as usize].clone(), content(listing, f).unwrap());
    listing.files.iter().map(one).collect()
}

/// The bytes of an image, or why it has none.
pub fn content(listing: &Listing, file: &SourceFile) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.trouble.clone().map_or_else(|| listing.store.read(&file.place, &mut bytes), Err).map(|()| bytes)
}

/// In every form `tree` gives these classes with so many images, or is refused with words of `owed`.
fn check(tree: &[&str], split: Split, owed: Result<(&str, usize), &str>) {
    let tmp = tempfile::tempdir().unwrap();
    let mut first = None;
    for (i, input) in forms(tmp.path(), tree).into_iter().enumerate() {
        let name = input.file_name().unwrap().to_string_lossy().into_owned();
        match (open(&input, &SourceOptions::default(), split), owed) {
            (Ok(listing), Ok((classes, images))) => {
                assert_eq!(listing.classes.join(" "), classes, "{name} of {tree:?}");
                assert_eq!(listing.files.len(), images, "{name} of {tree:?}: {:?}", listing.notes);
                let found = records(&listing);
                let same = first.get_or_insert_with(|| found.clone());
                assert_eq!(*same, found, "{name} of {tree:?}");
            }
            (Err(e), Err(words)) => {
                let text = e.to_string();
                assert!(text.contains(words) || i == 3, "{name} of {tree:?}: {e}");
                assert!(matches!(e.exit_code(), 2 | 65), "{e}");
            }
            // The folder around it is one class, which is said.
            (Ok(l), Err(_)) if i == 3 && l.classes.len() == 1 && l.notes.iter().any(|n| n.starts_with("1 class: some-master")) => {}
            (Ok(listing), Err(words)) => {
                panic!("{name} of {tree:?}: {:?} with {} images, not {words}", listing.classes, listing.files.len())
            }
            (Err(e), Ok(_)) => panic!("{name} of {tree:?}: {e}"),
        }
    }
}

const TINY: [&str; 5] = [
    "tiny-imagenet-200/train/{n01443537,n01629819}/images/{0,1}.JPEG",
    "tiny-imagenet-200/train/n01443537/n01443537_boxes.txt=n01443537_0.JPEG\\t0\\t10\\t63\\t58\\n",
    "tiny-imagenet-200/val/images/val_{0,1,2}.JPEG",
    "tiny-imagenet-200/val/val_annotations.txt=val_0.JPEG\\tn01629819\\t0\\t32\\t44\\t62\\nval_1.JPEG\\tn01443537\\t5\\t3\\t43\\t60\\nval_2.JPEG\\tn01629819\\t1\\t2\\t30\\t40\\n",
    "tiny-imagenet-200/test/images/test_{0,1}.JPEG",
];
const KAGGLE: [&str; 6] = [
    "ILSVRC/Data/CLS-LOC/train/{n01440764,n01443537}/{0,1}.JPEG",
    "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_0000000{1,2}.JPEG",
    "ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG",
    "LOC_val_solution.csv=ImageId,PredictionString\\nILSVRC2012_val_00000001,n01443537 1 2 30 40\\nILSVRC2012_val_00000002,n01440764 1 2 30 40 n01440764 5 6 7 8\\n",
    "LOC_synset_mapping.txt=n01440764 tench, Tinca tinca\\nn01443537 goldfish\\n",
    "ILSVRC/ImageSets/CLS-LOC/train_cls.txt=n01440764/0 1\\n",
];

/// Public datasets, as they are after unpacking or in the archives that are handed out.
#[test]
fn datasets_that_people_have() {
    use Split::{Train, Val};
    let of = |tree: &[&str], split, classes, images| check(tree, split, Ok((classes, images)));
    of(&TINY, Train, "n01443537 n01629819", 4);
    of(&TINY, Val, "n01443537 n01629819", 3);
    of(&KAGGLE, Train, "n01440764 n01443537", 4);
    of(&KAGGLE, Val, "n01440764 n01443537", 2);
    let wrapped: Vec<String> = KAGGLE.iter().map(|f| format!("imagenet-object-localization-challenge/{f}")).collect();
    of(&wrapped.iter().map(String::as_str).collect::<Vec<_>>(), Val, "n01440764 n01443537", 2);
    let imagenette =
        ["imagenette2-320/{train,val}/{n01440764,n02102040}/{0,1,2}.JPEG", "imagenette2-320/noisy_imagenette.csv=path,noisy_labels_0\\n"];
    of(&imagenette, Train, "n01440764 n02102040", 6);
    of(&imagenette, Val, "n01440764 n02102040", 6);
    of(
        &[
            "food-101/images/{apple_pie,waffles}/{0,1}.jpg",
            "food-101/meta/{train,classes}.json={}",
            "food-101/meta/train.txt=apple_pie/0\\n",
        ],
        Train,
        "apple_pie waffles",
        4,
    );
    of(
        &["101_ObjectCategories/{BACKGROUND_Google,accordion}/image_000{1,2}.jpg", "Annotations/accordion/annotation_0001.mat=mat"],
        Train,
        "BACKGROUND_Google accordion",
        4,
    );
    of(&["256_ObjectCategories/{001.ak47,002.american-flag}/0{1,2}.jpg"], Train, "001.ak47 002.american-flag", 4);
    of(
        &["Images/{n02085620-Chihuahua,n02085782-Japanese_spaniel}/{1,2}.jpg", "Annotation/n02085620-Chihuahua/n02085620_7=<xml>"],
        Train,
        "n02085620-Chihuahua n02085782-Japanese_spaniel",
        4,
    );
    let cub = [
        "CUB_200_2011/images/{001.Albatross,002.Bunting}/{1,2}.jpg",
        "CUB_200_2011/{images,classes,image_class_labels,train_test_split,bounding_boxes}.txt",
        "CUB_200_2011/attributes/certainties.txt=1 guessing\\n",
    ];
    of(&cub, Train, "001.Albatross 002.Bunting", 4);
    of(&["dtd/images/{banded,woven}/{0,1}.jpg", "dtd/labels/train1.txt=banded/0.jpg\\n", "dtd/imdb/imdb.mat=x"], Train, "banded woven", 4);
    of(&["2750/{AnnualCrop,Forest,SeaLake}/{1,2}.jpg"], Train, "AnnualCrop Forest SeaLake", 6);
    of(&["imagenetv2-matched-frequency-format-val/{0,1,10,2}/{a,b}.jpeg"], Val, "0 1 10 2", 8);
    of(&["imagenet-a/{n01498041,n01531178}/{0,1}.jpg", "imagenet-a/README.txt=text"], Val, "n01498041 n01531178", 4);
    of(&["sketch/{n01440764,n01443537}/sketch_{0,1}.JPEG"], Val, "n01440764 n01443537", 4);
    for (split, n) in [(Train, 4), (Val, 2)] {
        of(
            &["{train,test}/{airplane,ship}/cifar10-{0,1}.png", "valid/{airplane,ship}/cifar10-9.png", "imagenet-contributors.csv=a,b\\n"],
            split,
            "airplane ship",
            n,
        );
    }
    of(&["mnist_png/{training,testing}/{0,1}/{5,6}.png"], Train, "0 1", 4);
    of(&["lfw/{Aaron_Eckhart,Zydrunas}/x_0001.jpg"], Train, "Aaron_Eckhart Zydrunas", 2);
    of(&["GTSRB/Final_Training/Images/{00000,00001}/{0,1}.ppm", "GTSRB/Readme-Images.txt=text"], Train, "00000 00001", 4);
    of(&["UCMerced_LandUse/Images/{agricultural,airplane}/{a0,a1}.tif"], Train, "agricultural airplane", 4);
    of(&["asl_alphabet_train/asl_alphabet_train/{A,B}/{1,2}.jpg", "asl_alphabet_test/asl_alphabet_test/A_test.jpg"], Train, "A B", 4);
    of(&["train/{0,1,2}.jpg", "test/9.jpg", "labels.csv=id,breed\\n0,boxer\\n1,pug\\n2,boxer\\n"], Train, "boxer pug", 3);
    of(
        &["train_images/{0,1,2}.jpg", "test_images/9.jpg", "train.csv=image_id,label\\n0.jpg,3\\n1.jpg,0\\n2.jpg,3\\n"],
        Train,
        "0 1 2 3",
        3,
    );
    of(&["train/{1,2,3}.png", "trainLabels.csv=id,label\\n1,frog\\n2,truck\\n3,frog\\n"], Train, "frog truck", 3);
    of(
        &["places365_standard/{train,val}/{airfield,zen_garden}/{1,2}.jpg", "places365_standard/train.txt=train/airfield/9.jpg\\n"],
        Val,
        "airfield zen_garden",
        4,
    );
}

#[test]
fn datasets_that_are_asked_about() {
    use Split::{Train, Val};
    let asks = |tree: &[&str], split, words| check(tree, split, Err(words));
    asks(&["images/{a,b}_1.jpg", "annotations/trimaps/{a,b}_1.png", "annotations/list.txt=a_1 1\\n"], Train, "says no class"); // Oxford Pets
    asks(&["jpg/image_0000{1,2}.jpg", "imagelabels.mat=x"], Train, "says no class"); // Flowers
    asks(&["VOC2012/JPEGImages/{0,1}.jpg", "VOC2012/SegmentationClass/{0,1}.png", "VOC2012/Annotations/0.xml=x"], Train, "says no class");
    asks(&["train2017/{0,1}.jpg", "val2017/2.jpg", "annotations/x.json={}"], Train, "no labels for them"); // COCO
    asks(&["cars_train/{0,1}.jpg", "cars_test/2.jpg", "devkit/cars_meta.mat=x"], Train, "no labels for them"); // Stanford Cars
    asks(&["cars_train/{0,1}.jpg", "cars_test/2.jpg"], Val, "no split val here; there are: cars_test, cars_train");
    asks(&["train/{cat,dog}.{0,1}.jpg", "test1/1.jpg"], Train, "no labels for them"); // Dogs vs. Cats
    asks(&["seg_{train,test}/seg/{forest,sea}/{0,1}.jpg", "seg_pred/seg_pred/9.jpg"], Train, "may be read as"); // Intel
    asks(&["data_256/{a/airfield,a/alley,z/zen,z/zoo}/{0,1}.jpg"], Train, "classes in a: airfield, alley"); // Places365
    asks(&["train_val2019/{Birds/1,Birds/2,Plants/3,Plants/4}/{0,1}.jpg"], Train, "classes in Birds: 1, 2"); // iNaturalist
    asks(&["chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/0.jpeg", "chest_xray/chest_xray/train/NORMAL/0.jpeg"], Train, "may be read as");
    asks(&["{Training,Test}/{Apple,Pear}/0.jpg", "test-multiple_fruits/0.jpg"], Train, "may be read as"); // Fruits-360
    asks(&["{0,1}.jpg", "0.json={\"caption\": \"x\"}", "{0,1}.txt"], Train, "no labels for them"); // img2dataset
    asks(&["Train/{cat,dog}/0.png"], Val, "give the folder with the images of val as --input");
    asks(&["train/{cat,dog}/0.png", "Test/{cat,dog}/1.png"], Val, "/Test --split val packs that folder as val");
    asks(&["ds/{n01,n02}/0.png", "other/fig.png"], Train, "2 classes in ds: n01, n02");
    asks(&["cat/0.png", "cat - Copy/0.png", "dog/0.png"], Train, "looks like a copy of cat");
    asks(&["images/{0,1}.png", "masks/{0,1}.png"], Train, "says no class");
    asks(&["{cat,dog}/{train,val}/0.png"], Train, "the splits lie below the classes");
    asks(&["train/0.png", "val/1.png", "bus/2.png"], Train, "3 class folders: bus (1 images)");
    asks(&["part1/{n01440764,n01443537}/0.png", "part2/{n01440764,n01443537}/1.png"], Train, "classes in part1: n01440764");
    asks(&["train/{0,1}.png"], Train, "no labels for them");
    asks(&["notes.txt=nothing here"], Train, "no class folders");
}

#[test]
fn oddities_of_archives_and_systems() {
    use Split::{Train, Val};
    let of = |tree: &[&str], split, classes, images| check(tree, split, Ok((classes, images)));
    of(&["{cat,dog}/{0,1}.png"], Train, "cat dog", 4);
    of(&["{cat,dog}/{0,1}.png", "__MACOSX/cat/._0.png", ".DS_Store=x", "cat/.DS_Store=x"], Train, "cat dog", 4);
    of(&["{cat,dog}/{0,1}.png", "cat/Thumbs.db=x", "desktop.ini=x", "cat/.ipynb_checkpoints/0.png"], Train, "cat dog", 4);
    of(&["{cat,dog}/{0.JPG,1.Jpeg,2.PNG}"], Train, "cat dog", 6);
    of(&["{TRAIN,Val}/{Cat,Dog}/0.png"], Val, "Cat Dog", 2);
    of(&["cat/0.png", "dog/0.png", "emu/", "x/readme.txt=text"], Train, "cat dog emu x", 2); // empty classes are told
    of(&["a/b/c/{cat,dog}/{0,1}.png"], Train, "cat dog", 4);
    of(&["archive/archive/{train,val}/{cat,dog}/0.png"], Train, "cat dog", 2);
    of(&["data/train/{cat,dog}/0.png", "data/val/{cat,dog}/1.png"], Val, "cat dog", 2);
    of(&["{bus,car,train}/{0,1}.png"], Train, "bus car train", 6);
    of(&["cat/{0,cat/0,cat/1}.png", "dog/{dog/0,1}.png"], Train, "cat dog", 5);
    of(&["IMAGES/{cat,dog}/0.png"], Train, "cat dog", 2);
    of(&["caf\u{e9}/0.png", "\u{30cd}\u{30b3}/0.png"], Train, "caf\u{e9} \u{30cd}\u{30b3}", 2);
    of(&["cafe\u{301}/0.png", "b b/0 0.png"], Train, "b b cafe\u{301}", 2);
    of(&["{cat,dog}/0.png", "meta.json={}"], Train, "cat dog", 2);
    of(&["{cat,cat-big,cat.x}/{0,a/1}.png"], Train, "cat cat-big cat.x", 6);
    of(&["val/{0,1,2}.png", "train/{a,b}/9.png", "val.txt=0.png a\\n1.png b\\n2.png a\\n"], Val, "a b", 3);
    of(&["val/{0,1,2}.png", "val/labels.csv=file,label\\n0.png,a\\n1.png,b\\n2.png,a\\n"], Val, "a b", 3);
    of(&["{0,1,2}.png", "labels.csv=file,label\\n0.png,a\\n1.png,b\\n2.png,a\\n"], Train, "a b", 3);
    of(&["images/{0,1,2}.png", "train.txt=images/0.png a\\nimages/1.png b\\n"], Train, "a b", 2);
    of(&["images/{0,1,2}.png", "train.txt=0.png a\\n1.png b\\n", "val.txt=2.png b\\n"], Val, "b", 1);
    of(
        &[
            "jpegs/{0,1,2}.jpg",
            "val_annotations.txt=0.jpg\\tn01\\t1\\t2\\t3\\t4\\n1.jpg\\tn02\\t1\\t2\\t3\\t5\\n2.jpg\\tn01\\t1\\t2\\t3\\t6\\n",
        ],
        Val,
        "n01 n02",
        3,
    );
}

/// What an archive says of the splits may be used as the folder's, with `--source` and paths into it.
#[test]
fn sources_and_paths_reach_into_archives() {
    let tmp = tempfile::tempdir().unwrap();
    let kind = |kind| SourceOptions { kind: Some(kind), ..SourceOptions::default() };
    let list = tmp.path().join("labels.csv");
    write(&list, b"0.png,a\n1.png,b\n2.png,a\n3.png,b\n");
    let labels = SourceOptions { labels: Some(list), ..SourceOptions::default() };
    for input in forms(tmp.path(), &["train/{0,1}.png", "val/{2,3}.png"]) {
        for options in [labels.clone(), SourceOptions { kind: Some(Kind::Flat), ..labels.clone() }] {
            let listing = open(&input, &options, Split::Val).unwrap_or_else(|e| panic!("{}: {e}", input.display()));
            let names: Vec<&str> = listing.files.iter().map(|f| f.path.as_str()).collect();
            assert_eq!(names, ["a/2.png", "b/3.png"], "{}", input.display());
        }
    }
    let tmp = tempfile::tempdir().unwrap();
    for input in &forms(tmp.path(), &["train/{cat,dog}/0.png", "Test/{cat,dog}/{1,2}.png"])[..3] {
        let listing = open(&input.join("Test"), &SourceOptions::default(), Split::Val).unwrap();
        assert_eq!((listing.classes.len(), listing.files.len()), (2, 4));
        let listing = open(&input.join("train/cat"), &kind(Kind::Folder), Split::Val);
        assert!(listing.unwrap_err().to_string().contains("no class folders"));
        assert!(open(&input.join("nothing"), &SourceOptions::default(), Split::Val).unwrap_err().to_string().contains("no such folder"));
        let text = open(input, &kind(Kind::Kaggle), Split::Train).unwrap_err().to_string();
        assert!(text.contains("not Kaggle's tree"), "{text}");
        let listing = open(input, &kind(Kind::Folder), Split::Train).unwrap();
        assert_eq!((listing.classes.len(), listing.files.len()), (2, 2));
    }
}

/// Trees at random, of names that mean something: a folder, a tar and a zip of it give the same, or the same refusal.
#[test]
fn random_trees_are_the_same_in_every_form() {
    let (mut read, mut refused) = (0, 0);
    for round in 0..rounds(150, 5000) {
        let mut s = Stream::new(83, Purpose::Test, 0, round as u64);
        let names = ["train", "val", "Test", "images", "n01440764", "n01443537", "cat", "dog", "a", "a-b", "cat (1)", "x.y"];
        let depth = 1 + s.below(4);
        let few = 2 + s.below(10);
        let mut tree: Vec<String> = Vec::new();
        for i in 0..2 + s.below(12) {
            let folders: String = (0..s.below(depth + 1)).map(|_| format!("{}/", names[s.below(few) as usize])).collect();
            let kinds = if s.below(4) == 0 { 5 } else { 2 };
            let end = ["png", "JPEG", "txt", "cls=1", "json={\"label\": 1}"][s.below(kinds) as usize];
            tree.push(format!("{folders}{}.{end}", i % 7));
        }
        if s.below(4) == 0 {
            let name = ["labels.csv", "train.txt", "val_annotations.txt", "train/labels.csv"][s.below(4) as usize];
            tree.push(format!("{name}=0.png a\\n1.png b\\n2.JPEG a\\n"));
        }
        tree.sort();
        tree.dedup_by(|a, b| a.split('=').next() == b.split('=').next());
        let files: std::collections::HashSet<&str> = tree.iter().map(|t| t.split('=').next().unwrap()).collect();
        if files.iter().any(|f| files.iter().any(|g| g.starts_with(&format!("{f}/")))) {
            continue; // a file and a folder of one name
        }
        let samples = tree.iter().any(|t| t.contains(".cls=") || t.contains(".json="));
        let tmp = tempfile::tempdir().unwrap();
        let forms = forms(tmp.path(), &tree.iter().map(String::as_str).collect::<Vec<_>>());
        let told: Vec<Result<Vec<_>, String>> = forms[..3]
            .iter()
            .map(|input| {
                let place = input.display().to_string();
                match open(input, &SourceOptions::default(), Split::Train) {
                    Ok(l) => Ok(l.files.iter().map(|f| (f.path.clone(), l.classes[f.label as usize].clone(), content(&l, f))).collect()),
                    Err(e) => Err(e.to_string().replace(&place, "INPUT")),
                }
            })
            .collect();
        // An archive may be WebDataset, which a folder is not.
        let from = usize::from(samples);
        assert!(told[from..].windows(2).all(|w| w[0] == w[1]), "round {round}: {tree:?}: {:?}", told);
        if told[from].is_ok() { read += 1 } else { refused += 1 }
    }
    assert!(read > 20 && refused > 20, "{read} read, {refused} refused");
}

#[test]
fn the_program_takes_paths_into_archives() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("x/cat/0.png");
    super::labels::image(&path);
    let bytes = std::fs::read(&path).unwrap();
    let members = ["in/train/cat/0.png", "in/train/dog/1.png", "in/val/cat/2.png"].map(|n| (n.to_owned(), &bytes[..]));
    let zip = tmp.path().join("x.zip");
    write(&zip, &zip_of(&members));
    let inside = |path: &str| super::labels::pack(&["--input", zip.join(path).to_str().unwrap()]);
    let (code, said, classes, records) = inside("in/train");
    assert!(code == 0 && classes == ["cat", "dog"] && records.len() == 2, "{said}");
    let (code, said, classes, _) = inside("in/val");
    assert!(code == 0 && classes == ["cat"] && said.contains("packed as the split val"), "{said}");
    let (code, said, ..) = inside("in/nothing");
    assert!(code == 65 && said.contains("no such folder or file"), "{said}");
}
