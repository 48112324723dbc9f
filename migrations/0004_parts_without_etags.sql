ALTER TABLE `upload_parts` DROP COLUMN `etag`;--> statement-breakpoint
ALTER TABLE `upload_parts` DROP COLUMN `bytes`;