ALTER TABLE `compressions` ADD `freed_at` integer;--> statement-breakpoint
CREATE INDEX `compressions_unfreed` ON `compressions` (`finished_at`) WHERE freed_at IS NULL;