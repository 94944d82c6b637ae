//! An invoice folder to records.

use parkway::inputs;
use parkway_core::testing::ScriptedModel;
use serde_json::json;

use super::site::Site;

/// Reads what stands in the letters; the reminder is no invoice, and the model says so in words.
fn model() -> ScriptedModel {
    let record = |number: &str, supplier: &str, issued: &str, currency: &str, sums: [f64; 3], lines: usize| {
        let lines: Vec<_> = (0..lines).map(|n| json!({"text": format!("line {n}"), "amount": 1.0})).collect();
        let mut record = json!({
            "number": number, "supplier": supplier, "issued": issued, "currency": currency,
            "net": sums[0], "vat": sums[1], "total": sums[2], "lines": lines,
        });
        if number.starts_with("RE") {
            record["order"] = json!("PO-7781");
        }
        record.to_string()
    };
    ScriptedModel::new()
        .when("which does not add up", json!({"net": 550.0, "vat": 104.5, "total": 645.5}).to_string())
        .when(
            "RE-2026-1043",
            record("RE-2026-1043", "Brenner Bürobedarf GmbH", "2026-10-02", "EUR", [800.8, 152.15, 952.95], 2),
        )
        .when(
            "HS/2219",
            record("HS/2219", "HARTLEY & SONS, ELECTRICIANS", "2026-10-09", "GBP", [174.9, 34.98, 209.88], 3),
        )
        .when("NR-88-310", record("NR-88-310", "Nordlicht Reinigung KG", "2026-10-15", "EUR", [550.0, 104.5, 645.5], 2))
        .otherwise("This is a reminder, not an invoice.")
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_does_not_add_up_or_cannot_be_read_goes_to_a_person() {
    let site = Site::new();
    let parkway = site.builder().model("main", model()).build().await.unwrap();
    let (run, ended) = site.run(&parkway, "invoices.yaml", inputs! {}).await;
    site.assert_completed(&parkway, run, &ended).await;
    assert_eq!(
        site.outputs(&parkway, run).await,
        json!({
            "records": "out/invoices/records.csv",
            "accepted": 2,
            "doubtful": 1,
            "unread": ["2026-10-reminder.txt"],
            "rest": "out/invoices/for-a-person.md",
        })
    );
    assert_eq!(
        site.read("out/invoices/records.csv"),
        "number,supplier,issued,order,currency,total,file\r\n\
         HS/2219,\"HARTLEY & SONS, ELECTRICIANS\",2026-10-09,,GBP,209.88,examples/data/invoices/2026-10-hartley.txt\r\n\
         RE-2026-1043,Brenner Bürobedarf GmbH,2026-10-02,PO-7781,EUR,952.95,examples/data/invoices/2026-10-brenner.txt\r\n"
    );
    assert_eq!(
        site.read("out/invoices/for-a-person.md"),
        "# Invoices for a person\n\n\
         - examples/data/invoices/2026-10-wrong-sum.txt: NR-88-310 of Nordlicht Reinigung KG, does not add up\n\
         - 2026-10-reminder.txt: could not be read\n"
    );
    // Asked a second time only where the figures did not add up.
    let log = site.log(&parkway, run).await;
    let again: Vec<_> =
        log.iter().filter(|line| line.starts_with("step_completed") && line.ends_with(".again")).collect();
    assert_eq!(again, ["step_completed records[3].again"]);
}
