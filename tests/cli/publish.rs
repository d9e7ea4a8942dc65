//! `seal publish`, as far as it goes without a server.

use crate::scene::{Result, Scene, ended};

/// What cannot be published is told before anybody is asked about the rest.
#[test]
fn what_is_wrong_is_told_before_the_question() -> Result {
    let scene = Scene::new(
        "creation_rules:\n  - path_regex: .\n    age: PERSON0\n\
         destination_rules:\n  - path_regex: .\n    s3_bucket: bucket\n",
    )?;
    for name in ["good.yaml", "clear.yaml"] {
        scene.write(name, "port: 5432\n")?;
    }
    scene.must(&["-q", "good.yaml"])?;
    let output = scene.seal(&["publish", "good.yaml", "clear.yaml"])?;
    assert!(!output.success(), "{}", ended(&output));
    let told = output.err();
    let (wrong, question) = (told.find("clear.yaml"), told.find("Publish this file?"));
    assert!(
        wrong.is_some() && question.is_some() && wrong < question,
        "{told}"
    );
    Ok(())
}
