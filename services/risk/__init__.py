"""The risk score's workshop: a versioned scorecard from any labelled table, judged by cross-validation."""
