//! Trees whose folders may be no classes, and label files that do not say alone what they mean: a question, or the images and classes that
//! are written out here by hand, from a folder, a tar and a zip alike.

use super::forms::forms;
use super::sources::{tar_of, write};
use super::witnesses::check;
use imagenet_engine::data::Split::{Train, Val};
use imagenet_engine::data::source::{SourceOptions, open};

const AB: &str = "{a,b}/{0,1,2,3}.png";

/// Lines of the eight images of [`AB`], by their paths.
fn lines(of: &dyn Fn(usize) -> String) -> String {
    (0..8).map(|i| format!("{}/{}.png,{}\\n", if i < 4 { "a" } else { "b" }, i % 4, of(i))).collect()
}

fn folders() -> String {
    (0..8).map(|i| if i < 4 { format!("a/{i}.png=a ") } else { format!("b/{}.png=b ", i - 4) }).collect()
}

#[test]
fn label_files_that_are_not_clear_are_asked_about() {
    let unclear = "what it says of their classes is not clear";
    let asks = |content: &str, words| check(&[AB, &format!("labels.csv={content}")], Train, Err(words));
    let two = lines(&|i| format!("{},{}", ["cat", "dog"][i % 2], ["x", "y", "z"][i % 3]));
    asks(&format!("image,kind,tone\\n{two}"), unclear);
    asks(&format!("image,cat,dog\\n{}", lines(&|i| format!("{},{}", i % 2, 1 - i % 2))), unclear);
    let one = lines(&|i| ["cat", "dog"][i % 2].to_owned());
    asks(&format!("image,label\\n{one}a/1.png,cat\\n"), unclear);
    // Names that are there in both folders.
    asks("image,label\\n0.png,cat\\n1.png,dog\\n2.png,cat\\n3.png,dog\\n", unclear);
    // Another name, and another place.
    for name in ["data.csv", "Data_Entry_2017.csv", "notes/GroundTruth.csv", "my_labels.txt"] {
        check(&[AB, &format!("{name}=image,kind,tone\\n{two}")], Train, Err(unclear));
        check(&[AB, &format!("{name}=image,label\\n{one}")], Train, Err("may be read as"));
    }
}

#[test]
fn tables_that_describe_images_or_agree_need_no_question() {
    let of = |name: &str, content: String| check(&[AB, &format!("{name}={content}")], Train, Ok(&folders()));
    for name in ["annotations.csv", "data.csv"] {
        of(name, format!("filename,x,y,w,h\\n{}", lines(&|i| format!("{i},{},{},{}", 2 * i, i + 9, i % 2))));
        of(name, format!("image,kind,tone\\n{}", lines(&|i| format!("{},{}", ["k", "l"][i / 4], ["x", "y", "z"][i % 3]))));
        of(name, format!("image,weight\\n{}", lines(&|i| (i * 37).to_string())));
    }
    of("labels.csv", "image,kind,tone\\n9.png,cat,x\\n8.png,dog,y\\n7.png,cat,z\\n".to_owned());
}

#[test]
fn labels_of_folders_that_are_parts_are_used() {
    let tree = "part_{1,2}/{0,1}.png";
    let labels = "image,label\\npart_1/0.png,cat\\npart_1/1.png,dog\\npart_2/0.png,cat\\npart_2/1.png,dog\\n";
    let owed = "part_1/0.png=cat part_1/1.png=dog part_2/0.png=cat part_2/1.png=dog";
    for name in ["data.csv", "labels.csv", "labels_all.csv"] {
        check(&[tree, &format!("{name}={labels}")], Train, Ok(owed));
    }
    check(
        &["cars_train/cars_train/{0,1,2,3}.png", "anno_train.csv=0.png,7\\n1.png,8\\n2.png,7\\n3.png,8\\n"],
        Train,
        Ok("cars_train/cars_train/0.png=7 cars_train/cars_train/1.png=8 cars_train/cars_train/2.png=7 cars_train/cars_train/3.png=8"),
    );
}

#[test]
fn folders_that_hold_the_same_folders_are_asked_about() {
    let asks = |tree: &[&str], words| check(tree, Train, Err(words));
    for groups in ["fold1,fold2,fold3", "art,photo,sketch", "8863,9036", "Training,PublicTest,PrivateTest"] {
        asks(&[&format!("{{{groups}}}/{{cat,dog}}/{{0,1}}.png")], "cat, dog, and such in the others");
    }
    asks(&["{amazon,webcam}/images/bike/0.png", "{amazon,webcam}/images/mug/0.png"], "bike, mug, and such in the others");
    asks(&["{yes,no}/{0,1}.png", "again/{yes,no}/{0,1}.png"], "holds them again");
    asks(&["flowers/{daisy,rose}/{0,1}.png", "flowers/flowers/{daisy,rose}/{0,1}.png"], "holds them again");
}

#[test]
fn splits_of_class_folders_are_used() {
    let column =
        format!("metadata.csv=file_name,label,split\\n{}", lines(&|i| format!("{},{}", ["a", "b"][i / 4], ["train", "val"][i % 2])));
    check(&[AB, &column], Train, Ok("a/0.png=a a/2.png=a b/0.png=b b/2.png=b"));
    check(&[AB, &column], Val, Ok("a/1.png=a a/3.png=a b/1.png=b b/3.png=b"));
    let mit = ["Images/{cat,dog}/{0,1}.jpg", "TrainImages.txt=cat/0.jpg\\ndog/0.jpg\\n", "TestImages.txt=cat/1.jpg\\ndog/1.jpg\\n"];
    check(&mit, Train, Ok("Images/cat/0.jpg=cat Images/dog/0.jpg=dog"));
    check(&mit, Val, Err("no list of the split val"));
    check(&["{cat,dog}/{0,1}.jpg", "train.txt=cat/0\\ndog/0\\n", "test.txt=cat/1\\ndog/1\\n"], Train, Ok("cat/0.jpg=cat dog/0.jpg=dog"));
    let files =
        ["images/{0,1,2}.png", "train_labels.csv=image,label\\n0.png,cat\\n1.png,dog\\n", "val_labels.csv=image,label\\n2.png,cat\\n"];
    check(&files, Train, Ok("images/0.png=cat images/1.png=dog"));
    check(&files, Val, Ok("images/2.png=cat"));
    // No split is offered that is none.
    check(&["{trainval,test}/{cat,dog}/0.png"], Train, Err("of which none is called train"));
    check(&["{train,test,extra}/1/0.png"], Val, Err("of which none is called val"));
}

#[test]
fn masks_and_what_disks_add_are_left_out() {
    check(&["{x,y}/i0.png", "{x,y}/i0_mask.png"], Train, Ok("x/i0.png=x y/i0.png=y"));
    check(&["{x,y}/images/0.png", "{x,y}/masks/0.png"], Train, Ok("x/images/0.png=x y/images/0.png=y"));
    check(&["{x,y}/{hat,face_mask}.png"], Train, Ok("x/hat.png=x x/face_mask.png=x y/hat.png=y y/face_mask.png=y"));
    check(&["{x,y}/0.png", "x/@eaDir/0.png/t.png", "@eaDir/1.png"], Train, Ok("x/0.png=x y/0.png=y"));
    let again = "labels.csv=image,label\\n0.png,cat\\nimage,label\\n1.png,zebra\\n2.png,cat\\n";
    check(&["images/{0,1,2}.png", again], Train, Ok("images/0.png=cat images/1.png=zebra images/2.png=cat"));
}

#[test]
fn errors_name_what_is_missing() {
    let tmp = tempfile::tempdir().unwrap();
    let words = |input: &std::path::Path| open(input, &SourceOptions::default(), Train).unwrap_err().to_string();
    for n in ["0", "1"] {
        let members: [(String, &[u8]); 2] =
            [(format!("{n}.jpg"), &b"x"[..]), (format!("{n}.json"), &b"{\"class_id\": 1, \"caption\": \"x\"}"[..])];
        write(&tmp.path().join(format!("shards/{n}.tar")), &tar_of(&members));
    }
    let text = words(&tmp.path().join("shards"));
    assert!(text.contains("none of these has a label") && text.contains("class_id"), "{text}");
    let tree = forms(tmp.path(), &["{cat,dog}/0.png"]).remove(0);
    std::os::unix::fs::symlink("/nowhere/fox", tree.join("fox")).unwrap();
    assert!(words(&tree).contains("/nowhere/fox"));
    let tree =
        forms(&tmp.path().join("case"), &["images/IMG_{0,1}.png", "labels.csv=image,label\\nimg_0.png,a\\nimg_1.png,b\\n"]).remove(0);
    assert!(words(&tree).contains("upper and lower case alone"));
}
