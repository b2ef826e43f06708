-- Where a partition ended when its owner took it over; 2^62 until the owner has seen it. Nothing is dispatched before
-- every partition has got there.
ALTER TABLE intake_positions ADD COLUMN catch_up_to bigint NOT NULL DEFAULT 0;
