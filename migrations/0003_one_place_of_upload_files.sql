ALTER TABLE `uploads` DROP COLUMN `sha256`;--> statement-breakpoint
ALTER TABLE `uploads` DROP COLUMN `object_key`;--> statement-breakpoint
ALTER TABLE `uploads` DROP COLUMN `multipart_id`;