//! Command cases: a file a case, in `tests/cmd`, its input beside it.

#[test]
fn commands() {
    trycmd::TestCases::new().case("tests/cmd/*.toml");
}
